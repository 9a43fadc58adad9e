# Hinweise, Anstöße und der Startbildschirm.

low-balance-alert =
    .title = Noch { $view-balance } auf Ihrem Konto
    .title-without = Ihr Kontostand ist niedrig
    .body = Ihr nächstes Gehalt kommt voraussichtlich am { $view-salary_next }. Sehen Sie, welche Zahlungen vorher fällig sind.
    .body-without = Sehen Sie, welche Zahlungen als Nächstes fällig sind, und buchen Sie bei Bedarf um.
    .cta = Geld umbuchen
unusual-transaction-alert =
    .title = War das Ihre Zahlung?
    .body = Eine Zahlung über { $view-unusual_amount } sieht anders aus als Ihre übrigen. War sie nicht von Ihnen, sagen Sie es uns sofort; wir stoppen sie.
    .body-without = Eine Zahlung sieht anders aus als Ihre übrigen. War sie nicht von Ihnen, sagen Sie es uns sofort; wir stoppen sie.
    .cta = Zahlung prüfen
deposit-maturity-alert =
    .title = { $view-maturity_days ->
        [0] Ihr Festgeld läuft heute aus
        [one] Ihr Festgeld läuft morgen aus
       *[other] Ihr Festgeld läuft in { $view-maturity_days } Tagen aus
    }
    .title-without = Ihr Festgeld läuft bald aus
    .body = { $view-maturing_amount } gehen auf Ihr Girokonto, wenn Sie nichts anderes bestimmen.
    .body-without = Der Betrag geht auf Ihr Girokonto, wenn Sie nichts anderes bestimmen.
    .cta = Jetzt bestimmen
missed-income-alert =
    .title = Eine Zahlung fehlt
    .body = Sonst ist sie um diese Zeit schon da. Sehen Sie, was wir erwartet haben und wen Sie fragen könnten.
    .cta = Was fehlt?
card-activation-reminder =
    .title = Ist Ihre neue Karte da?
    .body = In einer Minute ist sie aktiviert. Sie brauchen die letzten vier Ziffern und den Code, den wir Ihnen in der App zeigen.
    .cta = Karte aktivieren
identity-renewal-notice =
    .title = Bitte erneuern Sie Ihren Nachweis
    .body = Das Dokument, das uns vorliegt, läuft ab. Das Gesetz verlangt, dass es aktuell ist; es dauert etwa drei Minuten.
    .cta = Jetzt erneuern
budget-coaching =
    .title = { $view-dining_month } für Restaurants
    .title-without = Auswärts essen summiert sich
    .body = Das sind { $view-dining_share } Ihrer Ausgaben in drei Monaten. Sollen wir uns melden, wenn eine Grenze erreicht ist, die Sie setzen?
    .body-without = Setzen Sie eine Grenze für Restaurants und Lieferdienste; wir melden uns, wenn es knapp wird.
    .cta = Grenze setzen
recurring-payment-setup =
    .title = Soll das von selbst laufen?
    .body = Diese Rechnung haben Sie schon mehrmals von Hand bezahlt. Ein Dauerauftrag zahlt pünktlich; Sie können ihn jederzeit beenden.
    .cta = Einrichten
subscription-review =
    .title = { $view-subscriptions_month } im Monat für Abos
    .title-without = Ihre Abos
    .body = Sehen Sie alle auf einer Seite, mit dem Tag, bis zu dem sich jedes kündigen lässt.
    .cta = Durchsehen
debt-payoff-plan =
    .title = Schritt für Schritt schuldenfrei
    .body = Auf Ihren Karten sind { $view-card_balance } offen. Etwas mehr im Monat spart viele Zinsen; sehen Sie, wie viel und bis wann.
    .body-without = Etwas mehr im Monat spart viele Zinsen; sehen Sie, wie viel und bis wann.
    .cta = Plan machen
savings-goal-progress =
    .title = { $view-savings_balance } von { $view-savings_goal }
    .title-without = Ihr Sparziel
    .body = Gut gemacht. Sehen Sie, wann Sie es erreichen, wenn Sie so weitermachen.
    .cta = Mein Ziel ansehen
home-everyday =
    .title = Ihre Konten
    .body = Zuerst die Kontostände, dann Ihre letzten Umsätze.
home-money-focus =
    .title = Dieser Monat
    .body = Was bis zum nächsten Geldeingang bleibt, dann Ihre Kontostände.
