# SPDX-License-Identifier: LGPL-2.1-or-later
"""All scenes, by phase."""
from scene_command import commands, ctl
from scene_life import Start, StartWalls, Stop, StopDeaf
from scene_reload import Hangup, Nonces, Plugins, Reload, Tls, Wrong
from scene_request import (Body, Cached, Chunked, Full12, Full13, KeepAlive, Pooled, Refused, Resumed12, Resumed13,
                           Signed, Streamed, Upload)


def phases(subject):
    return {
        "start": [Start(subject), StartWalls(subject)],
        "request": [kind(subject) for kind in (Full13, Full12, Resumed13, Resumed12, KeepAlive, Body, Chunked, Pooled,
                                               Streamed, Upload, Cached, Signed, Refused)],
        "command": commands(subject),
        "ctl": ctl(subject),
        "reload": [Reload(subject), Plugins(subject), Tls(subject), Hangup(subject), Nonces(subject),
                   Wrong(subject)],
        "stop": [Stop(subject), StopDeaf(subject)],
    }
