/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* unique - a C++ plugin built without -fno-gnu-unique: its inline variable is one for the whole process (a
 * STB_GNU_UNIQUE symbol), so instances would share it and none could be unloaded. To be found at load by name.
 */
#include <mtlsd/plugin.hpp>

#include <string>

struct unique_state {
	static inline unsigned long number;
};

namespace
{

class unique
{
      public:
	unique(mtlsd::instance, mtlsd::config) {}
	mtlsd_action request(mtlsd::request request)
	{
		return request.respond(200, std::to_string(++unique_state::number) + "\n");
	}
};

} // namespace

MTLSD_PLUGIN_CLASS(unique, "unique", "1.0", "shares statics between instances", 0, nullptr);
