/* SPDX-License-Identifier: Apache-2.0 */
#include "user/keeper/estate.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

static const char *const mark_names[] = {
#define ESTATE_MARK(id, name) name,
#include "user/keeper/marks.def"
#undef ESTATE_MARK
};

const char *estate_mark_name(enum estate_mark mark)
{
	return mark_names[mark];
}

struct estate *estate_create(void)
{
	void *memory = mmap(NULL, sizeof(struct estate), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void estate_free(struct estate *estate)
{
	if (estate)
		munmap(estate, sizeof(*estate));
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
