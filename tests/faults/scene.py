# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is done while calls fail, and what must hold whatever fails.

A scene has `act`, which is done with the page armed and says in a word how it ended, and `check`, done afterwards with
nothing failing. Both raise Finding for what must never be.
"""
from subject import SANITIZED, wait_for


class Scene:
    name, thorough = None, 1  # thorough: the whole check after every so many points
    usual = "served"  # how it ends when nothing fails
    #: Not tried: what cannot happen in it or what nothing is promised for.
    without = ()

    def __init__(self, subject):
        self.subject, self.number = subject, 0
        self.page = subject.page  # that of the process whose calls fail

    def ready(self):
        self.subject.up()

    def skips(self, name):
        # A sanitizer brings its own malloc, behind which the daemon's reserve for fragile libraries does not stand.
        return name in self.without or (SANITIZED and name == "library")

    def mark(self):
        self.marked = len(self.subject.daemon.log_text())

    def wait_told(self):
        """A change that was asked for by somebody who is gone is made all the same, once there are descriptors."""
        wait_for(lambda: " by uid " in self.subject.daemon.log_text()[self.marked:],
                 "a call nobody waited for is never done")

    def check(self):
        self.number += 1
        self.subject.look(self.number % self.thorough == 0)

    def over(self):
        """After a pair of class and error: the whole check once more."""
        if self.subject.daemon is not None:
            self.subject.look()
