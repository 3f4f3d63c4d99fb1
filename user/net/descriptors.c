/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/descriptors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "user/base/limits.h"
#include "user/net/socket.h"

enum {
	/* Three admin servers, and what a reload or a name look-up opens meanwhile. */
	DESCRIPTORS_OURS = 3 * LIMIT_ADMIN_CONNECTIONS + 64,
	DESCRIPTORS_BASE = 64, /* of the main thread, with programs and maps of the kernel lanes */
	DESCRIPTORS_OF_WORKER = 16,
	DESCRIPTORS_OF_CLIENT = 64, /* connections that one client address may have at least */
	DESCRIPTORS_OF_PORT = 2, /* for each worker: the listening socket and a reserve */
};

/* A few addresses together must not take everything; a browser or a small office must fit. */
static void plan_client(struct descriptor_plan *plan)
{
	uint64_t eighth = plan->connections / 8, half = (plan->connections + 1) / 2;
	uint64_t share = eighth > DESCRIPTORS_OF_CLIENT ? eighth : DESCRIPTORS_OF_CLIENT;

	plan->connections_of_client = share < half ? share : half;
	plan->requests_of_client = 2 * share < half ? 2 * share : half;
}

void descriptors_plan(uint64_t limit, uint64_t fixed, struct descriptor_plan *ret_plan)
{
	uint64_t ours = limit / 8 < DESCRIPTORS_OURS ? limit / 8 : DESCRIPTORS_OURS;
	uint64_t left = limit > fixed + ours ? limit - fixed - ours : 0;

	*ret_plan = (struct descriptor_plan){
		.clients_below = limit - ours - left / 4,
		.backends_below = limit - ours,
		.connections = left / 2 ? left / 2 : 1,
	};
	if (ret_plan->connections > LIMIT_CONNECTIONS)
		ret_plan->connections = LIMIT_CONNECTIONS;
	plan_client(ret_plan);
}

uint64_t descriptors_fixed(uint32_t workers, uint32_t ports)
{
	return DESCRIPTORS_BASE + (uint64_t)workers * (DESCRIPTORS_OF_WORKER + DESCRIPTORS_OF_PORT * ports);
}

int descriptors_lower(int fd)
{
	int lower = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (lower < 0 || lower > fd) {
		socket_close(lower);
		return fd;
	}
	socket_close(fd);
	return lower;
}

int descriptors_each(int (*each)(void *context, int fd), void *context)
{
	DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;
	int result = 0;

	if (!directory)
		return -errno;
	while (!result && (entry = readdir(directory)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd != dirfd(directory))
			result = each(context, fd);
	}
	closedir(directory);
	return result;
}

uint64_t descriptors_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : UINT64_MAX / 2;
}
