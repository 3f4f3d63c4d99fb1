/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void give_up(const char *what)
{
	perror(what);
	abort();
}

void guard_init(struct guard *guard, size_t max_bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t room = (max_bytes + page - 1) / page * page;

	if (room == 0)
		room = page;
	guard->map = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guard->map == MAP_FAILED)
		give_up("guard: mmap");
	guard->room = guard->map + page;
	guard->room_bytes = room;
	guard->page_bytes = page;
	if (mprotect(guard->room, room, PROT_READ | PROT_WRITE) != 0)
		give_up("guard: mprotect");
}

void guard_done(struct guard *guard)
{
	munmap(guard->map, guard->room_bytes + 2 * guard->page_bytes);
	*guard = (struct guard){ 0 };
}

static char *guard_place(struct guard *guard, char *at, const void *data, size_t len)
{
	memset(guard->room, 0xa5, guard->room_bytes);
	if (len > 0)
		memcpy(at, data, len);
	return at;
}

static void guard_fit(const struct guard *guard, size_t len)
{
	if (len <= guard->room_bytes)
		return;
	fprintf(stderr, "guard: %zu bytes do not fit in %zu: give guard_init more\n", len, guard->room_bytes);
	abort();
}

char *guard_end(struct guard *guard, const void *data, size_t len)
{
	guard_fit(guard, len);
	return guard_place(guard, guard->room + guard->room_bytes - len, data, len);
}

char *guard_start(struct guard *guard, const void *data, size_t len)
{
	guard_fit(guard, len);
	return guard_place(guard, guard->room, data, len);
}
