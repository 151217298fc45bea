// SPDX-License-Identifier: LGPL-2.1-or-later
// The same in C++: new, delete and the exception when there is no memory.
#include <cstddef>
#include <new>
#include <string>

struct alignas(128) wide {
	char bytes[256];
};

extern "C" {

void *
image_new(std::size_t size)
{
	char *p = new char[size];
	__asm__ volatile("" ::: "memory");
	return p;
}

void
image_delete(void *p)
{
	delete[] static_cast<char *>(p);
}

// 1: bad_alloc came, 0: it did not.
int
image_new_too_much(std::size_t size)
{
	try {
		image_delete(image_new(size));
		return 0;
	} catch (const std::bad_alloc &) {
		return 1;
	}
}

void *
image_new_nothrow(std::size_t size)
{
	void *p = ::operator new(size, std::nothrow);
	__asm__ volatile("" ::: "memory");
	return p;
}

int
image_new_aligned()
{
	wide *p = new wide;
	int r = reinterpret_cast<std::size_t>(p) % 128 == 0;
	delete p;
	return r;
}

std::string *
image_string()
{
	return new std::string(1000, 'x');
}

void
image_string_delete(std::string *s)
{
	delete s;
}
}
