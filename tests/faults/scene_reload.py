# SPDX-License-Identifier: LGPL-2.1-or-later
"""The configuration read again while calls fail."""
import json
import re
import shutil
import signal

from scene import Scene
from subject import Finding, harness, varlink, wait_for


class Reload(Scene):
    """The configuration read again, with a route more or less each time."""
    name, thorough = "config", 1

    def ready(self):
        super().ready()
        config = self.subject.daemon.config
        routes = config["routes"]
        self.has_extra = any(route["name"] == "extra" for route in self.subject.call("Routes")["routes"])
        routes = [route for route in routes if route["name"] != "extra"]
        if not self.has_extra:
            routes.append(dict(name="extra", path="/echo-too", allow=[dict(any=True)], handler="echo"))
        config["routes"] = routes
        self.subject.daemon.write()
        self.generation = self.subject.call("Status")["generation"]

    def ask(self):
        self.subject.call("Reload")

    def act(self):
        self.is_left = False
        self.mark()
        try:
            self.ask()
            self.done = True
            return "served"
        except varlink.VarlinkError as error:
            if not re.search(r"[a-z]{3,} [a-z]+", json.dumps(error.parameters)):
                raise Finding(f"an error without a sentence: {error}") from None
            # Whether it is done nobody knows if no room was left to say so.
            self.done = None if "may be done" in json.dumps(error.parameters) else False
            return "refused"
        except TimeoutError:
            self.done = None
            if self.subject.page.is_starved:
                self.is_left = True
                return "kept waiting"
            raise Finding("the reload never ends") from None
        except (OSError, ValueError):
            self.done = None
            return "closed"

    def wait_over(self):
        if self.is_left:
            self.wait_told()
        wait_for(lambda: self.subject.call("Status")["state"] != "reloading", "the daemon stays reloading")

    def check(self):
        subject = self.subject
        self.wait_over()
        status = subject.call("Status")
        if status["state"] != "running":
            raise Finding(f"the daemon stays {status['state']}")
        rose = status["generation"] - self.generation
        if self.done is not None and rose != int(self.done):
            raise Finding(f"a reload that {'succeeded' if self.done else 'failed'} changed the generation by {rose}")
        wanted = not self.has_extra if rose else self.has_extra
        if self.name == "config":
            names = [route["name"] for route in subject.call("Routes")["routes"]]
            if ("extra" in names) != wanted:
                raise Finding(f"generation {status['generation']}, routes {names}")
            subject.probe("/echo-too", (200,) if wanted else (404,))
        self.undo()
        super().check()

    def undo(self):
        """The file says again what is in force."""


class Plugins(Reload):
    """A plugin more or less, and new settings for one that stays."""
    name = "plugins"

    def ready(self):
        Scene.ready(self)
        daemon = self.subject.daemon
        plugins = [plugin for plugin in daemon.config["plugins"] if plugin["name"] != "more"]
        if len(plugins) == len(daemon.config["plugins"]):
            plugins.append(dict(name="more", path=harness.plugin_path("whoami.so")))
        for plugin in plugins:
            if plugin["name"] == "echo":
                plugin["config"] = dict(prefix="" if plugin.get("config", {}).get("prefix") else "so: ")
        daemon.config["plugins"] = plugins
        daemon.write()
        self.generation = self.subject.call("Status")["generation"]
        self.has_extra = False

    def check(self):
        self.wait_over()
        names = [plugin["name"] for plugin in self.subject.call("List")["plugins"]]
        change = ("more" in names) - getattr(self.subject.daemon, "has_more", False)
        self.subject.base["images"] += change
        self.subject.base["descriptors"] += 2 * change  # the file's copy and the mapping's
        self.subject.daemon.has_more = "more" in names
        super().check()


class Tls(Reload):
    """Another certificate under the same name."""
    name = "tls"

    def ready(self):
        Scene.ready(self)
        self.turn = not getattr(self, "turn", False)
        folder, name = self.subject.tls, "other-server" if self.turn else "server"
        for suffix in ("", "-key"):
            new = folder / f"new{suffix}"
            shutil.copy(self.subject.pki.folder / f"{name}{suffix}.pem", new)
            new.rename(folder / f"server{suffix}.pem")

    def ask(self):
        self.subject.call("Reload", dict(what="tls"))

    def check(self):
        Scene.check(self)


class Nonces(Reload):
    """More room for nonces, then less: the file is made anew each time, and what was taken stays taken."""
    name = "nonces"
    fields = "Nonce: taken\r\nSigned-At: now\r\n"

    def taken(self):
        with self.subject.connect() as sock:
            return self.subject.exchange(sock, "/once", fields=self.fields)[0]

    def ready(self):
        Scene.ready(self)
        if self.taken() not in (200, 409):
            raise Finding("no message is taken")
        daemon = self.subject.daemon
        nonces, = (plugin["nonces"] for plugin in daemon.config["plugins"] if plugin["name"] == "once")
        nonces["capacity"] = 4000 - nonces["capacity"]
        daemon.write()
        self.generation, self.has_extra = self.subject.call("Status")["generation"], False

    def check(self):
        super().check()
        if self.taken() != 409:
            raise Finding("a message was taken twice")


class Hangup(Reload):
    """By a signal: what came of it stands in the log."""
    name = "hangup"

    def ask(self):
        daemon = self.subject.daemon
        before, ready = len(daemon.log_text()), daemon.notify.count("READY")
        daemon.process.send_signal(signal.SIGHUP)
        news = wait_for(lambda: self.news(before) or daemon.notify.count("READY") > ready and " ",
                        "the reload never ends")
        if news == " ":
            raise ConnectionError("it is over, and the log, which cannot be written, does not say how")
        if "reload refused" in news:
            raise varlink.VarlinkError(dict(error="refused", parameters=dict(text=news)))

    def news(self, before):
        """What the log says since then, once it says how the reload ended."""
        news, daemon = self.subject.daemon.log_text()[before:], self.subject.daemon
        if not daemon.alive:
            raise ConnectionError("the daemon ended")
        return news if "is in force" in news or "reload refused" in news else None


class Wrong(Reload):
    """A file that must be refused."""
    name, usual = "wrong", "refused"

    def ready(self):
        super().ready()
        with open(self.subject.daemon.config_path, "a", encoding="utf-8") as file:
            file.write("\nnonsense: [1\n")

    def act(self):
        word = super().act()
        if word == "served":
            raise Finding("a wrong configuration was taken")
        return word

    def undo(self):
        self.subject.daemon.config["routes"] = [route for route in self.subject.daemon.config["routes"]
                                                if route["name"] != "extra" or self.has_extra]
        self.subject.daemon.write()
