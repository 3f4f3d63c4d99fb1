/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/heap_trim.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "user/base/log.h"

enum {
	HEAP_TRIM_LOOK_MS = 5000,
	HEAP_TRIM_LOOK_MAX_MS = 600000,
	HEAP_TRIM_MIN_BYTES = 4 * 1024 * 1024, /* less is not worth a trim */
};

/* 0 if unreadable: then no trim is ever due. */
static uint64_t resident_bytes(void)
{
	char line[128];
	unsigned long long pages = 0;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);

	if (fd >= 0)
		close(fd);
	if (len <= 0)
		return 0;
	line[len] = '\0';
	return sscanf(line, "%*u %llu", &pages) == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t used_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

bool heap_trim_is_due(uint64_t resident, uint64_t used, uint64_t floor)
{
	uint64_t most = used > HEAP_TRIM_MIN_BYTES ? used : HEAP_TRIM_MIN_BYTES;

	return resident > used + floor && resident - used - floor >= most;
}

static uint64_t beyond(uint64_t resident, uint64_t used)
{
	return resident > used ? resident - used : 0;
}

/* mallinfo2() walks the free chunks: call it only if a trim may help. */
static bool heap_trim_look(struct heap_trim *trim)
{
	uint64_t before = resident_bytes();
	uint64_t used;

	if (before < trim->floor_bytes + HEAP_TRIM_MIN_BYTES)
		return false;
	used = used_bytes();
	if (!heap_trim_is_due(before, used, trim->floor_bytes))
		return false;
	malloc_trim(0);
	trim->trims++;
	trim->floor_bytes = beyond(resident_bytes(), used);
	log_debug("heap: %llu KiB are in use, resident memory went from %llu to %llu KiB",
		  (unsigned long long)used / 1024, (unsigned long long)before / 1024,
		  (unsigned long long)resident_bytes() / 1024);
	return true;
}

static void heap_trim_on_timer(struct timer *timer, uint64_t now_ms)
{
	struct heap_trim *trim = container_of(timer, struct heap_trim, timer);

	if (!heap_trim_look(trim))
		trim->interval_ms =
			trim->interval_ms / 2 > HEAP_TRIM_LOOK_MS ? trim->interval_ms / 2 : HEAP_TRIM_LOOK_MS;
	else if (trim->interval_ms < HEAP_TRIM_LOOK_MAX_MS)
		trim->interval_ms *= 4;
	timer_arm(loop_timers(trim->loop), timer, now_ms + trim->interval_ms);
}

void heap_trim_start(struct heap_trim *trim, struct loop *loop)
{
	*trim = (struct heap_trim){ .loop = loop, .interval_ms = HEAP_TRIM_LOOK_MS };
	trim->floor_bytes = beyond(resident_bytes(), used_bytes());
	timer_init(&trim->timer, heap_trim_on_timer);
	timer_arm(loop_timers(loop), &trim->timer, loop_now_ms(loop) + HEAP_TRIM_LOOK_MS);
}

void heap_trim_stop(struct heap_trim *trim)
{
	if (trim->loop)
		timer_cancel(loop_timers(trim->loop), &trim->timer);
}
