/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/failpoint.h"

#ifdef HAS_FAILPOINTS

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/base/clock.h"

static const char *const names[] = {
#define FAILPOINT(id, name, fate, explanation) name,
#include "user/base/failpoints.def"
#undef FAILPOINT
};

/* Shared by the process and its forks. NULL: nothing is armed. */
static struct failpoint_row *rows;

void failpoint_open(void)
{
	const char *path = getenv("HEADGATE_FAILPOINTS");
	size_t bytes = FAILPOINT_COUNT * sizeof(*rows);
	void *memory = MAP_FAILED;
	int fd;

	if (!path)
		return;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && ftruncate(fd, (off_t)bytes) == 0)
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (memory == MAP_FAILED) {
		perror(path);
		exit(1);
	}
	rows = memory;
	for (int point = 0; point < FAILPOINT_COUNT; point++)
		snprintf(rows[point].name, sizeof(rows[point].name), "%s", names[point]);
}

void failpoint_pass(enum failpoint point)
{
	struct failpoint_row *row;
	uint_fast64_t armed;

	if (!rows)
		return;
	row = &rows[point];
	atomic_fetch_add(&row->passed, 1);
	armed = atomic_load(&row->armed);
	while (armed && !atomic_compare_exchange_weak(&row->armed, &armed, armed - 1))
		;
	if (armed != 1)
		return;
	row->killed_ns = clock_now_ns();
	atomic_fetch_add(&row->killed, 1);
	/* The signal is pending before kill() returns: no further instruction of this process runs. */
	(void)kill(getpid(), SIGKILL);
}

#endif
