# SPDX-License-Identifier: LGPL-2.1-or-later
# The plugins that come with the daemon and what others need to write their own. Plain shared objects, so no libtool.

plugin_PROGRAMS += plugins/echo.so plugins/whoami.so

plugins_echo_so_SOURCES = plugins/echo.c
plugins_echo_so_CPPFLAGS = $(MODULE_CPPFLAGS)
plugins_echo_so_CFLAGS = $(MODULE_CFLAGS)
plugins_echo_so_LDFLAGS = $(MODULE_LDFLAGS)
plugins_echo_so_LDADD =

plugins_whoami_so_SOURCES = plugins/whoami.c
plugins_whoami_so_CPPFLAGS = $(MODULE_CPPFLAGS)
plugins_whoami_so_CFLAGS = $(MODULE_CFLAGS)
plugins_whoami_so_LDFLAGS = $(MODULE_LDFLAGS)
plugins_whoami_so_LDADD =

mtlsdincludedir = $(includedir)/mtlsd
mtlsdinclude_HEADERS = plugins/include/mtlsd/plugin.h plugins/include/mtlsd/plugin.hpp

pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = plugins/mtlsd-plugin.pc

EXTRA_DIST += plugins/template/template.c plugins/template/Makefile plugins/template/README.md
