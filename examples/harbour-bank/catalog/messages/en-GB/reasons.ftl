# Why something was not shown, and what moved a ranking. Plain words for customers and colleagues.

reason-min-age = This product is for adults.
reason-residence = We cannot offer this product in your country of residence.
reason-current-account = This product needs a current account with us.
reason-already-held = You already have this product.
reason-risk-class = Your answers about risk do not fit this product, or we do not have them yet.
reason-not-business = This product is for business customers.
reason-not-now = There is no occasion for it at present.
reason-chat-closed = Our colleagues are available from 8 am to 8 pm on working days.
reason-no-idle-cash = There is no larger amount that has stayed unused for two months.
reason-savings-small = This makes sense only from a larger amount of savings.
reason-not-travelling = You have spent little on travel of late.
reason-income = Your monthly income with us is below what this product needs.
reason-card-use = Your cards are close to their limit.
reason-cannot-carry = Further instalments would weigh too heavily on your budget.
reason-buffer = First keep enough on your account for the next weeks.
reason-debt-first = Paying off your cards first saves you more.
reason-identity-open = Your identification comes first.

rank-balance-up = Your balance is comfortable.
rank-balance-down = Your balance is modest.
rank-income-up = Your income is regular and sufficient.
rank-income-down = Your income is lower.
rank-idle-up = Part of your money is not being used.
rank-idle-down = Your money is in use.
