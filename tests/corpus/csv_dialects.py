# Reads CSV as spreadsheets write it, and writes it with other rules.
import csv
import io

text = 'name;note;price\r\n"Müller; Sohn";"says ""hi""";1,50\r\nPlain;"two\nlines";2,00\r\n'
dialect = csv.Sniffer().sniff(text.splitlines()[0], delimiters=";,")
rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=dialect.delimiter))
for row in rows:
    print(len(row), row)
out = io.StringIO()
writer = csv.writer(out, delimiter="\t", quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
for name, note, price in rows[1:]:
    writer.writerow([name, note, float(price.replace(",", "."))])
print(out.getvalue())
csv.register_dialect("pipes", delimiter="|", quotechar="'", skipinitialspace=True)
print(next(csv.reader(["a| 'b|c'| d"], dialect="pipes")))
