/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/ctl/map_users.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/base/span.h"

/* True if this descriptor refers to the map; false if it has been closed meanwhile. */
static bool descriptor_is_map(const char *fdinfo_path, uint32_t map_id)
{
	FILE *file = fopen(fdinfo_path, "re");
	char line[128];
	bool is_map = false;

	if (!file)
		return false;
	while (!is_map && fgets(line, sizeof(line), file)) {
		unsigned int id;

		is_map = sscanf(line, "map_id: %u", &id) == 1 && id == map_id;
	}
	fclose(file);
	return is_map;
}

/* Returns 1, 0, or -EACCES: a process of another user, which only root may inspect. */
static int process_holds(const char *pid, uint32_t map_id)
{
	char path[PATH_MAX];
	const struct dirent *entry;
	int holds = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fdinfo", pid);
	dir = opendir(path);
	if (!dir)
		return errno == EACCES || errno == EPERM ? -EACCES : 0;
	while (!holds && (entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, entry->d_name);
		holds = entry->d_name[0] != '.' && descriptor_is_map(path, map_id);
	}
	closedir(dir);
	return holds;
}

static void process_name(const char *pid, struct text *out)
{
	char path[PATH_MAX], name[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(name, sizeof(name), file)) {
		name[strcspn(name, "\n")] = '\0';
		text_fmt(out, " %s", name);
	}
	fclose(file);
}

void map_users_describe(struct text *out, uint32_t map_id)
{
	const struct dirent *entry;
	unsigned int found = 0, hidden = 0;
	DIR *proc = opendir("/proc");

	text_str(out, "  open in:");
	while (proc && (entry = readdir(proc)) != NULL) {
		uint64_t pid;
		int holds;

		if (span_parse_u63(span_str(entry->d_name), &pid) || pid == (uint64_t)getpid())
			continue;
		holds = process_holds(entry->d_name, map_id);
		hidden += holds < 0;
		if (holds <= 0)
			continue;
		text_fmt(out, "%s process %s", found ? "," : "", entry->d_name);
		process_name(entry->d_name, out);
		found++;
	}
	if (proc)
		closedir(proc);
	if (!found)
		text_str(out, " no process seen here, pins keep it");
	if (hidden)
		text_fmt(out, " (%u processes could not be inspected)", hidden);
	text_char(out, '\n');
}
