/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/metrics/process_stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "user/base/units.h"

static uint64_t read_clock_ns(clockid_t clock)
{
	struct timespec now = { 0 };

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* The fields of /proc/self/stat after the command, which may contain anything up to the last ')'. */
static void read_stat(struct process_stats *stats)
{
	char line[1024];
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	unsigned long long threads, start_ticks, virtual_bytes;
	long long resident_pages;
	uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
	char *fields;

	if (fd >= 0)
		close(fd);
	if (len <= 0)
		return;
	line[len] = '\0';
	fields = strrchr(line, ')');
	/* Counted from field 3: threads is 20, starttime 22, vsize 23, rss 24. */
	if (!fields || sscanf(fields + 1,
			      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %llu %*d "
			      "%llu %llu %lld",
			      &threads, &start_ticks, &virtual_bytes, &resident_pages) != 4)
		return;
	stats->threads = threads;
	stats->virtual_bytes = virtual_bytes;
	stats->resident_bytes = (uint64_t)resident_pages * (uint64_t)sysconf(_SC_PAGESIZE);
	/* starttime counts from boot, including suspended time. */
	stats->start_ms = (read_clock_ns(CLOCK_REALTIME) - read_clock_ns(CLOCK_BOOTTIME)) / NS_PER_MS +
			  start_ticks * 1000u / ticks;
}

static uint64_t count_fds(void)
{
	struct stat stat_of_dir;
	uint64_t count = 0;
	DIR *dir;

	/* The size of this directory is the number of descriptors since Linux 6.2. */
	if (stat("/proc/self/fd", &stat_of_dir) == 0 && stat_of_dir.st_size > 0)
		return (uint64_t)stat_of_dir.st_size;
	dir = opendir("/proc/self/fd");
	if (!dir)
		return 0;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 3; /* ".", ".." and the descriptor of this directory */
}

void process_stats_read(struct process_stats *ret_stats)
{
	struct rlimit limit;

	*ret_stats = (struct process_stats){ 0 };
	read_stat(ret_stats);
	ret_stats->cpu_ns = read_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	ret_stats->open_fds = count_fds();
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		ret_stats->max_fds = limit.rlim_cur;
}
