"""Two small sites on one port: the folder `news` for news.localhost:8047, `shop` for shop.localhost:8047."""

import http.server
import pathlib

HERE = pathlib.Path(__file__).parent


class Site(http.server.SimpleHTTPRequestHandler):
    def translate_path(self, path):
        host = self.headers["host"].partition(".")[0]
        self.directory = str(HERE / ("shop" if host == "shop" else "news"))
        return super().translate_path(path)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", 8047), Site).serve_forever()
