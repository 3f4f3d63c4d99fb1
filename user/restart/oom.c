/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/oom.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OOM_PATH "/proc/self/oom_score_adj"

static int score_read(void)
{
	char digits[16] = "";
	int fd = open(OOM_PATH, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, digits, sizeof(digits) - 1);

	if (fd >= 0)
		close(fd);
	return len > 0 ? atoi(digits) : OOM_UNKNOWN;
}

static int score_write(int score)
{
	char digits[16];
	int len = snprintf(digits, sizeof(digits), "%d", score);
	int fd = open(OOM_PATH, O_WRONLY | O_CLOEXEC);
	ssize_t written = fd < 0 ? -1 : write(fd, digits, (size_t)len);

	if (fd >= 0)
		close(fd);
	return written == len ? 0 : -1;
}

int oom_protect(void)
{
	int before = score_read();

	if (before != OOM_UNKNOWN && score_write(-1000) < 0 && before > 0)
		(void)score_write(0);
	return before;
}

void oom_restore(int score)
{
	if (score != OOM_UNKNOWN)
		(void)score_write(score);
}
