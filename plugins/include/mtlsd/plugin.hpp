/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once
/* mtlsd/plugin.hpp - plugin.h for C++17: a plugin is a class, and no exception crosses into the daemon.
 *
 *   class words {
 *   public:
 *           words(mtlsd::instance self, mtlsd::config config);      // init; throw to refuse
 *           mtlsd_action request(mtlsd::request request);           // the only member required
 *   };
 *   MTLSD_PLUGIN_CLASS(words, "words", "1.0", "counts words", MTLSD_CONCURRENT, nullptr);
 *
 * The constructor is init, the destructor fini. These members are called if the class has them, by their C namesakes'
 * rules in plugin.h (threads, overlap, lifetimes):
 *
 *   mtlsd_action body(mtlsd::request request, std::string_view piece);
 *   void cancel(mtlsd::request request, mtlsd_reason reason);
 *   void done(mtlsd::request request, mtlsd_outcome outcome);
 *   std::uint64_t evict(std::uint64_t target, mtlsd_level level);
 *   void dump(mtlsd::dump dump);
 *   void health();                                                  // throw to say why not
 *   void reconfigure(mtlsd::config config);                         // throw to refuse
 *   static void check(mtlsd::config config);                        // throw to refuse
 *
 * An exception that leaves request or body becomes a 500, counted as this plugin's error, and its what() goes to the
 * log; std::bad_alloc, which new throws at the plugin's memory limit, is no exception to that. One that leaves init,
 * health, check or reconfigure is a refusal with what() as its sentence. Elsewhere it is logged and ends there.
 *
 * mtlsd::request and its kin are views: one pointer, copied by value, with the life of what they point to.
 * Build with -fno-gnu-unique (pkg-config --variable=plugin_cxxflags mtlsd-plugin): inline variables and the statics of
 * inline functions would be shared between instances otherwise, and the daemon refuses such a plugin.
 */
#include <mtlsd/plugin.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

namespace mtlsd
{

namespace detail
{
/* Every instance is a loaded copy with statics of its own, so one host table and one name for the log are enough. Not
 * `inline` variables: those would be unique in the process. */
static const mtlsd_host *host_table __attribute__((unused));
static mtlsd_instance *self_handle __attribute__((unused));

inline const char *
text(const char *given)
{
	return given ? given : "";
}
} // namespace detail

/* The host's table, for what has no wrapper here. Valid from init on. */
static inline const mtlsd_host *
host()
{
	return detail::host_table;
}

/* A host call's negative errno as an exception. */
static inline void
require(int result, const char *what)
{
	if (result == -ENOMEM)
		throw std::bad_alloc();
	if (result < 0)
		throw std::system_error(-result, std::generic_category(), what);
}

class config
{
	const mtlsd_config *raw_;

      public:
	explicit config(const mtlsd_config *raw) : raw_(raw) {}
	std::int64_t integer(const char *name) const { return host()->config_int(raw_, name); }
	bool flag(const char *name) const { return host()->config_int(raw_, name) != 0; }
	const char *string(const char *name) const { return detail::text(host()->config_string(raw_, name)); }
	const char *item(const char *name, std::size_t index) const { return host()->config_item(raw_, name, index); }
};

class instance
{
	mtlsd_instance *raw_;

      public:
	explicit instance(mtlsd_instance *raw) : raw_(raw) {}
	mtlsd_instance *get() const { return raw_; }
	const char *name() const { return host()->plugin_name(raw_); }
	std::uint64_t number() const { return host()->instance_number(raw_); }
	void log(mtlsd_log_level level, const char *line) const { host()->log(raw_, level, "%s", line); }
	int counter(const char *name, const char *help) const
	{
		int number = host()->counter(raw_, name, help);
		require(number, name);
		return number;
	}
	void count(int counter, std::uint64_t add = 1) const { host()->count(raw_, counter, add); }
	std::int64_t nonce_window() const { return host()->nonce_window(raw_); }
	/* 0, or why the message is not to be taken, as mtlsd_host.nonce says it: a refusal is no exception. */
	int nonce(std::string_view nonce, std::int64_t signed_at) const
	{
		return host()->nonce(raw_, nonce.data(), nonce.size(), signed_at);
	}
};

class dump
{
	mtlsd_dump *raw_;

      public:
	explicit dump(mtlsd_dump *raw) : raw_(raw) {}
	void text(const char *name, const char *value) const { host()->dump_text(raw_, name, value); }
	void number(const char *name, std::uint64_t value) const { host()->dump_number(raw_, name, value); }
};

class request
{
	mtlsd_request *raw_;

      public:
	explicit request(mtlsd_request *raw) : raw_(raw) {}
	mtlsd_request *get() const { return raw_; }

	/* Views into the host's strings, valid until done. What is not there is the empty view. */
	std::string_view method() const { return host()->method(raw_); }
	std::string_view path() const { return host()->path(raw_); }
	std::string_view query() const { return detail::text(host()->query(raw_)); }
	std::string_view header(const char *name, std::size_t index = 0) const
	{
		return detail::text(host()->header(raw_, name, index));
	}
	std::string_view identity(mtlsd_field field, std::size_t index = 0) const
	{
		return detail::text(host()->identity(raw_, field, index));
	}
	std::string_view attribute(const char *name) const { return detail::text(host()->attribute(raw_, name)); }
	std::string_view body() const
	{
		std::size_t length = 0;
		const void *data = host()->body(raw_, &length);
		return {static_cast<const char *>(data), length};
	}
	bool cancelled() const { return host()->cancelled(raw_) != 0; }

	void set_attribute(const char *name, const char *value) const
	{
		require(host()->set_attribute(raw_, name, value), "set_attribute");
	}
	void add_header(const char *name, const char *value) const
	{
		require(host()->add_header(raw_, name, value), "add_header");
	}
	mtlsd_action respond(int status, std::string_view text) const
	{
		require(host()->respond(raw_, status, text.data(), text.size()), "respond");
		return MTLSD_DONE;
	}
	/* Memory that ends with the request, for data without destructors; an object with one belongs in emplace. */
	void *alloc(std::size_t size) const
	{
		void *memory = host()->alloc(raw_, size);
		if (!memory)
			throw std::bad_alloc();
		return memory;
	}
	/* One object a request (or connection) and instance, destroyed by its release hook. */
	template <typename T, typename... Args> T &emplace(Args &&...args) const
	{
		auto object = std::make_unique<T>(std::forward<Args>(args)...);
		require(host()->set_data(raw_, object.get(), destroy<T>), "set_data");
		return *object.release();
	}
	template <typename T> T *data() const { return static_cast<T *>(host()->data(raw_)); }
	template <typename T, typename... Args> T &emplace_on_connection(Args &&...args) const
	{
		auto object = std::make_unique<T>(std::forward<Args>(args)...);
		require(host()->set_connection_data(raw_, object.get(), destroy<T>), "set_connection_data");
		return *object.release();
	}
	template <typename T> T *connection_data() const { return static_cast<T *>(host()->connection_data(raw_)); }

      private:
	template <typename T> static void destroy(void *object) { delete static_cast<T *>(object); }
};

namespace detail
{

#define MTLSD_DETECT(member, call)                                                                                     \
	template <typename P, typename = void> struct has_##member : std::false_type {                                 \
	};                                                                                                             \
	template <typename P> struct has_##member<P, std::void_t<decltype(call)>> : std::true_type {                   \
	}
MTLSD_DETECT(body, std::declval<P &>().body(std::declval<request>(), std::string_view()));
MTLSD_DETECT(cancel, std::declval<P &>().cancel(std::declval<request>(), MTLSD_DRAIN));
MTLSD_DETECT(done, std::declval<P &>().done(std::declval<request>(), MTLSD_SENT));
MTLSD_DETECT(evict, std::declval<P &>().evict(std::uint64_t(), MTLSD_EVICT_CACHES));
MTLSD_DETECT(dump, std::declval<P &>().dump(std::declval<mtlsd::dump>()));
MTLSD_DETECT(health, std::declval<P &>().health());
MTLSD_DETECT(reconfigure, std::declval<P &>().reconfigure(std::declval<config>()));
MTLSD_DETECT(check, P::check(std::declval<config>()));
#undef MTLSD_DETECT

static inline void
complain(const char *callback, const char *what)
{
	host_table->log(self_handle, MTLSD_LOG_ERROR, "exception in %s: %s", callback, what);
}

/* Runs what may throw; returns -errno and the sentence instead. Allocates nothing: it also runs when there is no
 * memory. */
template <typename F>
int
refusal(char *error, std::size_t error_size, F &&run) noexcept
{
	try {
		run();
		return 0;
	} catch (const std::bad_alloc &) {
		std::snprintf(error, error_size, "out of memory at the plugin's limit");
		return -ENOMEM;
	} catch (const std::system_error &e) {
		std::snprintf(error, error_size, "%s", e.what());
		bool is_errno = e.code().category() == std::generic_category() && e.code().value() > 0;
		return is_errno ? -e.code().value() : -EIO;
	} catch (const std::exception &e) {
		std::snprintf(error, error_size, "%s", e.what());
		return -EINVAL;
	} catch (...) {
		std::snprintf(error, error_size, "an exception that is no std::exception");
		return -EINVAL;
	}
}

/* Runs what may throw; logs what was thrown and returns `otherwise` instead. */
template <typename R, typename F>
R
guarded(const char *callback, R otherwise, F &&run) noexcept
{
	try {
		return run();
	} catch (const std::exception &e) {
		complain(callback, e.what());
	} catch (...) {
		complain(callback, "not a std::exception");
	}
	return otherwise;
}

/* The C callbacks of class P. */
template <typename P> struct glue {
	static P &of(void *user) { return *static_cast<P *>(user); }

	static int check(const mtlsd_host *given, const mtlsd_config *raw, char *error, std::size_t size)
	{
		host_table = given;
		return refusal(error, size, [&] { P::check(config(raw)); });
	}
	static int init(const mtlsd_host *given, mtlsd_instance *self, const mtlsd_config *raw, void **user,
			char *error, std::size_t size)
	{
		host_table = given;
		self_handle = self;
		return refusal(error, size, [&] { *user = new P(instance(self), config(raw)); });
	}
	static int health(void *user, char *error, std::size_t size)
	{
		return refusal(error, size, [&] { of(user).health(); });
	}
	static int reconfigure(void *user, const mtlsd_config *raw, char *error, std::size_t size)
	{
		return refusal(error, size, [&] { of(user).reconfigure(config(raw)); });
	}
	static mtlsd_action on_request(void *user, mtlsd_request *raw)
	{
		return guarded("request", MTLSD_FAIL, [&] { return of(user).request(mtlsd::request(raw)); });
	}
	static mtlsd_action body(void *user, mtlsd_request *raw, const void *data, std::size_t length)
	{
		return guarded("body", MTLSD_FAIL, [&] {
			return of(user).body(mtlsd::request(raw), {static_cast<const char *>(data), length});
		});
	}
	static void cancel(void *user, mtlsd_request *raw, mtlsd_reason reason)
	{
		guarded("cancel", 0, [&] { return of(user).cancel(mtlsd::request(raw), reason), 0; });
	}
	static void done(void *user, mtlsd_request *raw, mtlsd_outcome outcome)
	{
		guarded("done", 0, [&] { return of(user).done(mtlsd::request(raw), outcome), 0; });
	}
	static std::uint64_t evict(void *user, std::uint64_t target, mtlsd_level level)
	{
		return guarded("evict", std::uint64_t(), [&] { return of(user).evict(target, level); });
	}
	static void dump(void *user, mtlsd_dump *raw)
	{
		guarded("dump", 0, [&] { return of(user).dump(mtlsd::dump(raw)), 0; });
	}
	static void fini(void *user)
	{
		guarded("fini", 0, [&] { return delete static_cast<P *>(user), 0; });
	}
};

/* The descriptor of class P; callbacks the class lacks stay NULL, so that the daemon knows them as missing. */
template <typename P>
constexpr mtlsd_plugin
describe(const char *name, const char *version, const char *summary, std::uint32_t flags, const mtlsd_option *options)
{
	mtlsd_plugin plugin{};

	plugin.magic = MTLSD_MAGIC;
	plugin.abi_major = MTLSD_ABI_MAJOR;
	plugin.abi_minor = MTLSD_ABI_MINOR;
	plugin.size = sizeof(mtlsd_plugin);
	plugin.name = name;
	plugin.version = version;
	plugin.summary = summary;
	plugin.flags = flags;
	plugin.options = options;
	plugin.init = glue<P>::init;
	plugin.request = glue<P>::on_request;
	plugin.fini = glue<P>::fini;
	if constexpr (has_check<P>::value)
		plugin.check = glue<P>::check;
	if constexpr (has_health<P>::value)
		plugin.health = glue<P>::health;
	if constexpr (has_reconfigure<P>::value)
		plugin.reconfigure = glue<P>::reconfigure;
	if constexpr (has_body<P>::value)
		plugin.body = glue<P>::body;
	if constexpr (has_cancel<P>::value)
		plugin.cancel = glue<P>::cancel;
	if constexpr (has_done<P>::value)
		plugin.done = glue<P>::done;
	if constexpr (has_evict<P>::value)
		plugin.evict = glue<P>::evict;
	if constexpr (has_dump<P>::value)
		plugin.dump = glue<P>::dump;
	return plugin;
}

} // namespace detail
} // namespace mtlsd

/* The one exported symbol. options: an array of mtlsd_option that ends with a row without name, or nullptr. */
#define MTLSD_PLUGIN_CLASS(type, name, version, summary, flags, options)                                               \
	MTLSD_PLUGIN = mtlsd::detail::describe<type>(name, version, summary, flags, options)
