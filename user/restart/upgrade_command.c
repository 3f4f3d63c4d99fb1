/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/upgrade_command.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/types.h>
#include <unistd.h>

#include "user/base/check.h"

enum {
	COMMAND_DONE = 0,
	COMMAND_FAILED = 1,
	COMMAND_WRONG = 2,
	COMMAND_LOOK_MS = 5,
	COMMAND_START_MS = 1000, /* for the keeper to start the new program */
	COMMAND_LISTED = 16, /* keepers listed if there are several */
	COMMAND_CHILDREN = 16, /* of a keeper */
};

/* ------------------------------------------------------------------------------------ processes */

/* Reads a file of /proc/PID, truncated to the buffer; "": no such file, or no permission. */
static void process_text(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	FILE *file;
	size_t len = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	file = fopen(path, "re");
	if (file) {
		len = fread(text, 1, size - 1, file);
		(void)fclose(file);
	}
	text[len] = '\0';
}

/* True if the process exists and is no zombie. */
static bool is_alive(pid_t pid)
{
	char stat[256];
	const char *end;

	process_text(pid, "stat", stat, sizeof(stat));
	end = strrchr(stat, ')');
	return end && end[1] == ' ' && end[2] != 'Z';
}

static size_t children_of(pid_t pid, pid_t list[COMMAND_CHILDREN])
{
	char name[48], text[256];
	size_t count = 0;
	char *at = text;

	snprintf(name, sizeof(name), "task/%d/children", (int)pid);
	process_text(pid, name, text, sizeof(text));
	for (char *end; count < COMMAND_CHILDREN; at = end) {
		long child = strtol(at, &end, 10);

		if (end == at)
			break;
		list[count++] = (pid_t)child;
	}
	return count;
}

static bool program_of(pid_t pid, char *path, size_t size)
{
	char name[64];
	ssize_t len;

	snprintf(name, sizeof(name), "/proc/%d/exe", (int)pid);
	len = readlink(name, path, size - 1);
	path[len < 0 ? 0 : len] = '\0';
	return len > 0;
}

/* A gateway has its own process name, and runs the same program as its keeper. */
static bool is_keeper(pid_t pid)
{
	char ours[4096], theirs[4096], name[32];
	pid_t children[COMMAND_CHILDREN];
	size_t count = children_of(pid, children);

	for (size_t i = 0; i < count; i++) {
		process_text(children[i], "comm", name, sizeof(name));
		if (strcmp(name, "headgate\n") == 0 && program_of(pid, ours, sizeof(ours)) &&
		    program_of(children[i], theirs, sizeof(theirs)) && strcmp(ours, theirs) == 0)
			return true;
	}
	return false;
}

/* Returns how many keepers there are; list: the first COMMAND_LISTED of them. */
static size_t find_keepers(pid_t list[COMMAND_LISTED])
{
	DIR *directory = opendir("/proc");
	const struct dirent *entry;
	size_t count = 0;

	while (directory && (entry = readdir(directory)) != NULL) {
		pid_t pid = (pid_t)atoi(entry->d_name);

		if (!isdigit((unsigned char)entry->d_name[0]) || !is_keeper(pid))
			continue;
		if (count < COMMAND_LISTED)
			list[count] = pid;
		count++;
	}
	if (directory)
		closedir(directory);
	return count;
}

/* ------------------------------------------------------------------------------------ the command */

static int choose(int argc, char **argv, pid_t *ret_pid)
{
	pid_t list[COMMAND_LISTED];
	size_t count;
	char *end;

	if (argc > 1 || (argc == 1 && argv[0][0] == '-')) {
		fputs("usage: headgate upgrade [PID]; PID: the process id of the keeper, the main process\n",
		      stderr);
		return COMMAND_WRONG;
	}
	if (argc == 1) {
		long pid = strtol(argv[0], &end, 10);

		*ret_pid = (pid_t)pid;
		if (*end == '\0' && pid > 0 && is_keeper(*ret_pid))
			return 0;
		fprintf(stderr,
			"headgate: %s is not the process id of a gateway's keeper (with --no-keeper there is "
			"none); omit it if only one gateway runs\n",
			argv[0]);
		return COMMAND_WRONG;
	}
	count = find_keepers(list);
	if (count == 1) {
		*ret_pid = list[0];
		return 0;
	}
	fputs(count ? "headgate: several gateways run, name one by its process id:"
		    : "headgate: no gateway with a keeper runs",
	      stderr);
	for (size_t i = 0; i < count && i < COMMAND_LISTED; i++)
		fprintf(stderr, " %d", (int)list[i]);
	fputs("\n", stderr);
	return COMMAND_FAILED;
}

/* The child of the keeper that is new since `before`; 0: none. */
static pid_t find_new_process(pid_t keeper, const pid_t *before, size_t before_count)
{
	pid_t now[COMMAND_CHILDREN];
	size_t count = children_of(keeper, now);

	for (size_t i = 0; i < count; i++) {
		bool is_new = true;

		for (size_t at = 0; at < before_count; at++)
			is_new &= now[i] != before[at];
		if (is_new && is_alive(now[i]))
			return now[i];
	}
	return 0;
}

/*
 * Waits until the keeper or the new program has ended. A new program that ends at once may never be seen.
 * keeper_fd: from pidfd_open().
 */
static int await_outcome(int keeper_fd, pid_t keeper, const pid_t *before, size_t before_count)
{
	struct pollfd end = { .fd = keeper_fd, .events = POLLIN };
	int waited_ms = 0;
	pid_t new_process = 0;

	while (poll(&end, 1, COMMAND_LOOK_MS) == 0) {
		waited_ms += COMMAND_LOOK_MS;
		if (!new_process && waited_ms < COMMAND_START_MS) {
			new_process = find_new_process(keeper, before, before_count);
		} else if (!new_process || !is_alive(new_process)) {
			fprintf(stderr,
				"headgate: no new program took over; process %d keeps serving, see its log\n",
				(int)keeper);
			return COMMAND_FAILED;
		}
	}
	if (!new_process || !is_alive(new_process)) {
		fprintf(stderr, "headgate: process %d has ended, and no new program took over\n",
			(int)keeper);
		return COMMAND_FAILED;
	}
	printf("process %d has taken over from process %d\n", (int)new_process, (int)keeper);
	return COMMAND_DONE;
}

int upgrade_command(int argc, char **argv)
{
	pid_t before[COMMAND_CHILDREN];
	size_t before_count;
	int fd, status;
	pid_t keeper;

	status = choose(argc, argv, &keeper);
	if (status)
		return status;
	fd = pidfd_open(keeper, 0);
	before_count = children_of(keeper, before);
	if (fd < 0 || pidfd_send_signal(fd, SIGUSR2, NULL, 0) < 0) {
		fprintf(stderr, "headgate: process %d: %s\n", (int)keeper, strerrordesc_np(errno));
		status = COMMAND_FAILED;
	} else {
		status = await_outcome(fd, keeper, before, before_count);
	}
	if (fd >= 0)
		close(fd);
	return status;
}
