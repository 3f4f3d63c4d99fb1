/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection that bypasses TCP while TCP of the host is short of memory, which this test makes so for a
 * moment. Runs alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gen/local_broken.skel.h"
#include "tests/bpf/broken.h"
#include "tests/bpf/bypass_rig.h"
#include "tests/bpf/local_rig.h"
#include "tests/lib/test.h"

#define TCP_MEM "/proc/sys/net/ipv4/tcp_mem"

#define OTHERS_MAX 400

static char limits[128]; /* as they were */

static int limits_write(const char *text)
{
	FILE *file = fopen(TCP_MEM, "we");
	int error = !file || fputs(text, file) < 0;

	return file && fclose(file) == 0 ? error : 1;
}

/* However this test ends, a child puts them back: it waits for the end of a pipe. */
static pid_t guard_start(int *ret_fd)
{
	int fds[2];
	pid_t child;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		char byte;

		close(fds[1]);
		(void)!read(fds[0], &byte, 1);
		_exit(limits_write(limits));
	}
	close(fds[0]);
	*ret_fd = fds[1];
	return child;
}

/* Pages that all TCP sockets hold. CPUs keep 1 MiB each aside that this does not count. */
static long memory_pages(void)
{
	FILE *file = fopen("/proc/net/sockstat", "re");
	char line[256];
	const char *found;
	long pages = -1;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, "TCP:", 4) == 0 && (found = strstr(line, " mem ")))
			pages = strtol(found + 5, NULL, 10);
	fclose(file);
	return pages;
}

/* A message while memory is short: whether it went through TCP, and arrived. */
static bool passes(uint32_t broken)
{
	struct local_options options = { .direction_count = 64,
					 .override = { .before_load = rig_break, .arg = &broken } };
	struct bypass_pair pair, others[OTHERS_MAX];
	struct bypass_stats stats;
	struct local *local;
	int guard_fd, status, count = 0;
	pid_t guard;

	options.override.elf = local_broken_bpf__elf_bytes(&options.override.elf_bytes);
	local = local_rig_load(&options);
	pair_open(local, &pair, &(struct bypass_pair_options){ 0 });
	pair_send(pair.app, 1, 0, 1000);
	assert_true(pair_expect(pair.own, 1, 0, 1000));
	assert_int_equal(bypass_stats(&pair.bypass).in_bytes, 1000);
	guard = guard_start(&guard_fd);
	assert_int_equal(limits_write("1 1 1000000000"), 0);
	/* Whoever wants memory now finds that it is short. */
	while (count < OTHERS_MAX && memory_pages() < 64) {
		pair_open(local, &others[count], &(struct bypass_pair_options){ .is_tcp = true });
		pair_send(others[count++].app, 2, 0, 300000);
	}
	pair_send(pair.app, 1, 1000, 1000);
	stats = bypass_stats(&pair.bypass);
	assert_true(pair_expect(pair.own, 1, 1000, 1000));
	close(guard_fd);
	assert_int_equal(waitpid(guard, &status, 0), guard);
	assert_int_equal(status, 0);
	while (count)
		pair_close(&others[--count]);
	pair_close(&pair);
	local_free(local);
	return stats.in_bytes == 1000 && stats.reason == LOCAL_REASON_MEMORY;
}

TEST(it_goes_through_tcp)
{
	FILE *file = fopen(TCP_MEM, "re");

	local_free(local_rig_load(NULL)); /* skips where there is no BPF */
	if (!file || !fgets(limits, sizeof(limits), file) || access(TCP_MEM, W_OK) != 0)
		rig_skip("the limits of TCP's memory cannot be set here");
	fclose(file);
	assert_true(passes(0));
	assert_false(passes(BYPASS_BREAK_MEMORY));
}
