# Alerts, nudges and the home screen.

low-balance-alert =
    .title = Your balance is down to { $view-balance }
    .title-without = Your balance is low
    .body = Your next salary should come on { $view-salary_next }. See which payments are due before then.
    .body-without = See which payments are due next, and move money if you need to.
    .cta = Move money
unusual-transaction-alert =
    .title = Was this payment yours?
    .body = A payment of { $view-unusual_amount } does not look like your others. If it was not yours, tell us at once and we stop it.
    .body-without = A payment does not look like your others. If it was not yours, tell us at once and we stop it.
    .cta = Check payment
deposit-maturity-alert =
    .title = { $view-maturity_days ->
        [0] Your deposit matures today
        [one] Your deposit matures tomorrow
       *[other] Your deposit matures in { $view-maturity_days } days
    }
    .title-without = Your deposit matures soon
    .body = { $view-maturing_amount } will be paid to your current account unless you decide otherwise.
    .body-without = The amount will be paid to your current account unless you decide otherwise.
    .cta = Decide now
missed-income-alert =
    .title = A payment has not arrived
    .body = You usually receive it by now. Here is what we expected, and whom you could ask.
    .cta = See what is missing
card-activation-reminder =
    .title = Is your new card there?
    .body = Activate it in one minute. You need the last four digits and the code that we show you in the app.
    .cta = Activate card
identity-renewal-notice =
    .title = Please renew your identification
    .body = The document we have on file expires. The law asks us to keep it up to date; it takes about three minutes.
    .cta = Renew now
budget-coaching =
    .title = { $view-dining_month } for restaurants
    .title-without = Eating out adds up
    .body = That is { $view-dining_share } of your spending in three months. Shall we tell you when you reach a limit that you set?
    .body-without = Set a limit for restaurants and deliveries, and we tell you when you get close.
    .cta = Set a limit
recurring-payment-setup =
    .title = Pay this bill by itself?
    .body = You have paid the same bill by hand several times. A standing order pays it on time; you can stop it whenever you like.
    .cta = Set up
subscription-review =
    .title = { $view-subscriptions_month } a month for subscriptions
    .title-without = Your subscriptions
    .body = See them all on one page, with the date by which each can be cancelled.
    .cta = Look through
debt-payoff-plan =
    .title = Free of card debt, step by step
    .body = You owe { $view-card_balance } on cards. A little more each month saves a lot of interest; see how much and by when.
    .body-without = A little more each month saves a lot of interest; see how much and by when.
    .cta = Make a plan
savings-goal-progress =
    .title = { $view-savings_balance } of { $view-savings_goal }
    .title-without = Your savings goal
    .body = Well done. See when you will get there if you keep going.
    .cta = See my goal
home-everyday =
    .title = Your accounts
    .body = Balances first, then your latest payments.
home-money-focus =
    .title = This month
    .body = What is left until your next income, then your balances.
