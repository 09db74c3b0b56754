# Reads settings from INI text, with defaults and interpolation, and writes them.
import configparser
import io

text = """
[DEFAULT]
home = /srv
timeout = 30

[web]
root = %(home)s/www
port = 8080
debug = yes

[mail]
timeout = 5
servers =
    mx1.example.com
    mx2.example.com
"""
config = configparser.ConfigParser()
config.read_string(text)
print(config.sections(), config["web"]["root"], config.getint("web", "port") + 1, config.getboolean("web", "debug"))
print(config["web"].getint("timeout"), config["mail"].getint("timeout"), config["mail"]["servers"].split())
print(config.get("mail", "port", fallback="none"))
config["web"]["port"] = "9090"
config.remove_section("mail")
out = io.StringIO()
config.write(out)
print(out.getvalue())
