/* SPDX-License-Identifier: Apache-2.0 */
#include "user/keeper/estate.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "user/base/check.h"

static const char *const mark_names[] = {
#define ESTATE_MARK(id, name) name,
#include "user/keeper/marks.def"
#undef ESTATE_MARK
};

const char *estate_mark_name(enum estate_mark mark)
{
	return mark_names[mark];
}

static void *memory_share(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
			    -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void tunnels_free(struct estate *estate)
{
	if (estate->tunnels)
		munmap(estate->tunnels, estate->tunnel_count * sizeof(*estate->tunnels));
	if (estate->long_texts)
		munmap(estate->long_texts, estate->tunnel_count * sizeof(*estate->long_texts));
	estate->tunnels = NULL;
	estate->long_texts = NULL;
}

/* As many as there may be descriptors. Without them tunnels end with their gateway. */
static void tunnels_create(struct estate *estate)
{
	struct rlimit limit = { .rlim_cur = 1024 };

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	estate->tunnel_count =
		limit.rlim_cur < ESTATE_DESCRIPTORS ? (uint32_t)limit.rlim_cur : ESTATE_DESCRIPTORS;
	estate->tunnels = memory_share(estate->tunnel_count * sizeof(*estate->tunnels));
	estate->long_texts = memory_share(estate->tunnel_count * sizeof(*estate->long_texts));
	if (!estate->tunnels || !estate->long_texts)
		tunnels_free(estate);
}

struct estate *estate_create(void)
{
	struct estate *estate = memory_share(sizeof(*estate));

	if (estate)
		tunnels_create(estate);
	return estate;
}

void estate_free(struct estate *estate)
{
	if (!estate)
		return;
	tunnels_free(estate);
	munmap(estate, sizeof(*estate));
}

struct estate_tunnel *estate_adoptable(struct estate *estate, int client_fd)
{
	struct estate_tunnel *tunnel = estate_tunnel(estate, client_fd);

	if (!tunnel || estate_mark_of(estate, client_fd) != ESTATE_MARK_TUNNEL ||
	    estate_mark_of(estate, tunnel->backend_fd) != ESTATE_MARK_BACKEND)
		return NULL;
	for (size_t way = 0; way < ARRAY_LEN(tunnel->ways); way++) {
		if (atomic_load_explicit(&tunnel->ways[way].is_busy, memory_order_acquire))
			return NULL;
	}
	return tunnel;
}

char *estate_texts(struct estate *estate, int client_fd, size_t bytes)
{
	if (bytes <= ESTATE_TEXT_BYTES)
		return estate->tunnels[client_fd].texts;
	return bytes <= ESTATE_LONG_TEXT_BYTES ? estate->long_texts[client_fd] : NULL;
}

int estate_keep_descriptors(struct estate *estate)
{
	DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;
	int error = 0;

	if (!directory)
		return -errno;
	estate->kept_count = 0;
	while (!error && (entry = readdir(directory)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] == '.' || fd == dirfd(directory))
			continue;
		if (estate->kept_count == ESTATE_KEPT)
			error = -E2BIG;
		else
			estate->kept[estate->kept_count++] = fd;
	}
	closedir(directory);
	return error;
}

bool estate_keeps(const struct estate *estate, int fd)
{
	for (uint32_t i = 0; i < estate->kept_count; i++) {
		if (estate->kept[i] == fd)
			return true;
	}
	return false;
}
