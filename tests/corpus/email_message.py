# Builds a mail with an attachment, and reads it back.
from email import message_from_bytes, policy
from email.message import EmailMessage

mail = EmailMessage()
mail["From"], mail["To"] = "Ada <ada@example.com>", "bob@example.com, carol@example.com"
mail["Subject"] = "Grüße und Zahlen"
mail.set_content("Hello,\nhere are the numbers.\n")
mail.add_alternative("<p>Hello</p>", subtype="html")
mail.add_attachment(b"a,b\n1,2\n", maintype="text", subtype="csv", filename="n.csv")
mail.set_boundary("sep")
raw = mail.as_bytes()
again = message_from_bytes(raw, policy=policy.default)
print(again["subject"], "|", [a.addr_spec for a in again["to"].addresses], again["from"].addresses[0].display_name)
for part in again.walk():
    print(part.get_content_type(), part.get_filename())
print(again.get_body(("plain",)).get_content().splitlines(), next(again.iter_attachments()).get_payload(decode=True))
