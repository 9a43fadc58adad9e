# Warum etwas nicht gezeigt wurde, und was eine Reihenfolge verändert hat.

reason-min-age = Dieses Produkt ist für Erwachsene.
reason-residence = In Ihrem Wohnsitzland können wir dieses Produkt nicht anbieten.
reason-current-account = Dieses Produkt setzt ein Girokonto bei uns voraus.
reason-already-held = Dieses Produkt haben Sie schon.
reason-risk-class = Ihre Angaben zum Risiko passen nicht zu diesem Produkt oder liegen uns noch nicht vor.
reason-not-business = Dieses Produkt ist für Geschäftskunden.
reason-not-now = Dafür gibt es im Augenblick keinen Anlass.
reason-chat-closed = Wir sind an Werktagen von 8 bis 20 Uhr für Sie da.
reason-no-idle-cash = Es gibt keinen größeren Betrag, der seit zwei Monaten ungenutzt ist.
reason-savings-small = Das lohnt sich erst mit mehr Erspartem.
reason-not-travelling = Sie haben zuletzt wenig für Reisen ausgegeben.
reason-income = Ihr monatlicher Geldeingang bei uns reicht für dieses Produkt nicht aus.
reason-card-use = Ihre Karten sind fast ausgeschöpft.
reason-cannot-carry = Weitere Raten würden Ihr Budget zu sehr belasten.
reason-buffer = Behalten Sie zuerst genug für die nächsten Wochen auf dem Konto.
reason-debt-first = Zuerst die Karten auszugleichen spart Ihnen mehr.
reason-identity-open = Zuerst kommt Ihre Identifizierung.

rank-balance-up = Ihr Kontostand ist komfortabel.
rank-balance-down = Ihr Kontostand ist bescheiden.
rank-income-up = Ihr Einkommen ist regelmäßig und ausreichend.
rank-income-down = Ihr Einkommen ist geringer.
rank-idle-up = Ein Teil Ihres Geldes ist ungenutzt.
rank-idle-down = Ihr Geld ist in Gebrauch.
