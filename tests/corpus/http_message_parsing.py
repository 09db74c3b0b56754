# Takes HTTP messages apart: status, headers, chunks, forms.
from http import HTTPStatus
from http.cookies import SimpleCookie
from email.parser import BytesParser
from urllib.parse import parse_qsl

raw = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=latin-1\r\nTransfer-Encoding: chunked\r\nSet-Cookie: id=42; Path=/; HttpOnly\r\nX-A: 1\r\nx-a: 2\r\n\r\n4\r\nGr\xfc\xdf\r\n6\r\ne aus \r\n3;x=y\r\nK\xf6l\r\n1\r\nn\r\n0\r\n\r\n"
head, _, body = raw.partition(b"\r\n\r\n")
status, _, headers = head.partition(b"\r\n")
message = BytesParser().parsebytes(headers)
content = b""
while True:
    size, _, body = body.partition(b"\r\n")
    length = int(size.split(b";")[0], 16)
    if not length:
        break
    content, body = content + body[:length], body[length + 2 :]
print(status.split()[1].decode(), HTTPStatus(int(status.split()[1])).phrase, message.get_content_type(), message.get_all("X-A"))
print(content.decode(message.get_content_charset()))
cookie = SimpleCookie(message["Set-Cookie"])
print(cookie["id"].value, cookie["id"]["path"], bool(cookie["id"]["httponly"]))
print(parse_qsl("a=1&b=x+y&c=%26&d=&a=2", keep_blank_values=True), HTTPStatus.NOT_FOUND.value, HTTPStatus(418).name)
