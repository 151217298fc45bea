/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cxx - a plugin written as a class: std::string, std::map, new and delete, and exceptions that must not cross.
 *
 * /keep?KEY stores a string of `bytes` bytes under KEY; /throw and /throw-int throw; /grow asks new for more than the
 * plugin may have, in small pieces; other paths answer how many strings are kept.
 */
#include <mtlsd/plugin.hpp>

#include <list>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace
{

const mtlsd_option options[] = {
	{"bytes", MTLSD_OPTION_SIZE, 0, 1, 1 << 20, "1KiB", nullptr, "Length of each string kept."},
	{"fail", MTLSD_OPTION_BOOL, 0, 0, 0, "no", nullptr, "Throw from the constructor."},
	{nullptr, MTLSD_OPTION_BOOL, 0, 0, 0, nullptr, nullptr, nullptr},
};

/* Lives with the request; its destructor proves that the release hook ran. */
struct witness {
	mtlsd::instance self;
	int counter;

	witness(mtlsd::instance instance, int number) : self(instance), counter(number) {}
	~witness() { self.count(counter); }
};

bool
ends_with(std::string_view text, std::string_view end)
{
	return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

class keeper
{
	mtlsd::instance self_;
	std::size_t bytes_;
	int witnesses_;
	std::map<std::string, std::string> kept_;

      public:
	keeper(mtlsd::instance self, mtlsd::config config)
	    : self_(self), bytes_(static_cast<std::size_t>(config.integer("bytes"))),
	      witnesses_(self.counter("witnesses", "request objects destroyed"))
	{
		if (config.flag("fail"))
			throw std::runtime_error("the constructor was told to fail");
	}

	mtlsd_action request(mtlsd::request request)
	{
		std::string_view path = request.path();

		request.emplace<witness>(self_, witnesses_);
		if (ends_with(path, "/throw"))
			throw std::runtime_error("thrown on demand");
		if (ends_with(path, "/throw-int"))
			throw 42;
		if (ends_with(path, "/grow")) {
			std::list<std::vector<char>> pieces;
			while (pieces.size() < 1 << 16)
				pieces.emplace_back(65536, 'g');
			return request.respond(200, "there was no limit\n");
		}
		if (ends_with(path, "/keep"))
			kept_[std::string(request.query())] = std::string(bytes_, 'k');
		return request.respond(200, std::to_string(kept_.size()) + "\n");
	}

	std::uint64_t evict(std::uint64_t target, mtlsd_level)
	{
		std::uint64_t freed = 0;

		while (!kept_.empty() && freed < target) {
			freed += kept_.begin()->second.capacity() + 1;
			kept_.erase(kept_.begin());
		}
		return freed;
	}

	void dump(mtlsd::dump dump)
	{
		dump.number("strings", kept_.size());
		dump.text("first", kept_.empty() ? "none" : kept_.begin()->first.c_str());
	}
};

} // namespace

MTLSD_PLUGIN_CLASS(keeper, "cxx", "1.0", "keeps strings, throws on demand", 0, options);
