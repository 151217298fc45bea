/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nosymbol - a shared object, but no plugin: it exports no descriptor; must not be loaded. */

/* Something to export, so that the object is not empty. */
__attribute__((visibility("default"))) extern const int nosymbol_number;
const int nosymbol_number = 1;
