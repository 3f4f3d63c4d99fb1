/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/log_writer.h"
#include "user/base/text.h"
#include "user/net/descriptors.h"
#include "user/restart/handoff_channel.h"
#include "user/restart/oom.h"

/* "1 <process id of the keeper> <workers> <descriptor>,<descriptor>,..." */
#define UPGRADE_VARIABLE "HEADGATE_TAKE_OVER"
#define UPGRADE_VERSION "1"
/*
 * "2 <descriptor> <serial> <layout>": where connections come from, what the ids of their workers have not
 * reached, and restart_state_layout().
 */
#define HANDOFF_VARIABLE "HEADGATE_TAKE_OVER_STREAMS"
#define HANDOFF_VERSION "2"
/* "1 <descriptor>": the same channel, on which the old gateway sends the health of its endpoints first. */
#define HEALTH_VARIABLE "HEADGATE_TAKE_OVER_HEALTH"
#define HEALTH_VERSION "1"
/* The old program keeps assigning ids until it has ended. */
#define SERIALS_AHEAD (1ull << 30)

int upgrade_init(struct upgrade *upgrade, char **argv)
{
	ssize_t len = readlink("/proc/self/exe", upgrade->path, sizeof(upgrade->path) - 1);

	if (len < 0)
		return -errno;
	upgrade->path[len] = '\0';
	upgrade->argv = argv;
	return 0;
}

static bool is_listening(int fd)
{
	int domain = 0, listens = 0;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       (domain == AF_INET || domain == AF_INET6) &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens;
}

/* If the watchdog expects signs of life from this keeper, it expects them from the new one. */
static int hand_over_watchdog(pid_t from)
{
	const char *meant = getenv("WATCHDOG_PID");
	char text[24];

	if (!meant || atoi(meant) != (int)from)
		return 0;
	snprintf(text, sizeof(text), "%d", (int)getpid());
	return setenv("WATCHDOG_PID", text, 1) < 0 ? -errno : 0;
}

/* Runs in the new process, whose table is a copy: keeps the listening sockets open across execve(2). */
static int hand_over_listener(void *context, int fd)
{
	struct text *value = context;

	if (is_listening(fd) && fcntl(fd, F_SETFD, 0) == 0)
		text_fmt(value, "%s%d", value->data[value->len - 1] == ' ' ? "" : ",", fd);
	return 0;
}

static int hand_over(const struct restart_state *restart_state, pid_t from)
{
	struct text value;
	int error;

	text_init(&value);
	text_fmt(&value, UPGRADE_VERSION " %d %u ", (int)from, restart_state->worker_count);
	error = text_error(&value);
	if (!error)
		error = descriptors_each(hand_over_listener, &value);
	text_char(&value, '\0');
	if (!error)
		error = text_error(&value);
	if (!error && setenv(UPGRADE_VARIABLE, value.data, 1) < 0)
		error = -errno;
	text_done(&value);
	return error;
}

static int hand_over_streams(const struct restart_state *restart_state, int fd)
{
	uint64_t serial = 0;
	char text[96];

	for (uint32_t worker = 0; worker < LIMIT_WORKERS; worker++) {
		if (restart_state->serials[worker] > serial)
			serial = restart_state->serials[worker];
	}
	snprintf(text, sizeof(text), HANDOFF_VERSION " %d %llu %llu", fd,
		 (unsigned long long)(serial + SERIALS_AHEAD), (unsigned long long)restart_state_layout());
	if (fcntl(fd, F_SETFD, 0) < 0 || setenv(HANDOFF_VARIABLE, text, 1) < 0)
		return -errno;
	snprintf(text, sizeof(text), HEALTH_VERSION " %d", fd);
	return setenv(HEALTH_VARIABLE, text, 1) < 0 ? -errno : 0;
}

void upgrade_failed(struct restart_state *restart_state)
{
	if (restart_state->new_process_fd >= 0)
		close(restart_state->new_process_fd);
	restart_state->new_process_fd = -1;
}

pid_t upgrade_start(const struct upgrade *upgrade, struct restart_state *restart_state, const sigset_t *mask)
{
	pid_t self = getpid();
	int error, new_process_end;
	pid_t pid;

	upgrade_failed(restart_state);
	error = handoff_pair(&restart_state->new_process_fd, &new_process_end);
	if (error) {
		restart_state->new_process_fd = -1;
		return error;
	}
	pid = fork();
	error = pid < 0 ? -errno : 0;
	if (pid != 0)
		close(new_process_end);
	if (pid < 0)
		upgrade_failed(restart_state);
	if (pid != 0)
		return pid < 0 ? error : pid;
	log_writer_forked();
	oom_restore(restart_state->oom_score);
	error = hand_over(restart_state, self);
	if (!error)
		error = hand_over_streams(restart_state, new_process_end);
	if (!error)
		error = hand_over_watchdog(self);
	if (!error) {
		(void)sigprocmask(SIG_SETMASK, mask, NULL);
		execv(upgrade->path, upgrade->argv);
		error = -errno;
	}
	log_error("cannot start %s: %s", upgrade->path, strerrordesc_np(-error));
	log_writer_end(LIMIT_LOG_END_MS);
	_exit(1);
}

static void keep_not(struct restart_state *restart_state, int fd)
{
	for (uint32_t i = 0; i < restart_state->kept_count; i++) {
		if (restart_state->kept[i] == fd)
			restart_state->kept[i] = restart_state->kept[--restart_state->kept_count];
	}
}

/* False: it is no channel. */
static bool take_channel(struct restart_state *restart_state, int fd)
{
	int type;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
		return false;
	keep_not(restart_state, fd);
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	return true;
}

static void take_over_health(struct restart_state *restart_state)
{
	const char *value = getenv(HEALTH_VARIABLE);
	int fd;

	if (value && sscanf(value, HEALTH_VERSION " %d", &fd) == 1 && take_channel(restart_state, fd))
		restart_state->old_health_fd = fd;
}

/* Without it, or with entries of another layout, only the sockets of ports are ours. */
static void take_over_streams(struct restart_state *restart_state)
{
	const char *value = getenv(HANDOFF_VARIABLE);
	unsigned long long serial, layout;
	int fd;

	if (!value || sscanf(value, HANDOFF_VERSION " %d %llu %llu", &fd, &serial, &layout) != 3 ||
	    !take_channel(restart_state, fd))
		return;
	for (uint32_t worker = 0; worker < LIMIT_WORKERS; worker++)
		restart_state->serials[worker] = serial;
	if (restart_state->streams && layout == restart_state_layout() && handoff_say_hello(fd) == 0)
		restart_state->old_process_fd = fd;
	else if (fd != restart_state->old_health_fd)
		close(fd);
}

int upgrade_take_over(struct restart_state *restart_state)
{
	const char *value = getenv(UPGRADE_VARIABLE);
	unsigned int workers;
	int from, at;

	if (!value)
		return 0;
	if (sscanf(value, UPGRADE_VERSION " %d %u %n", &from, &workers, &at) != 2 || from <= 0 || !workers ||
	    workers > LIMIT_WORKERS)
		return -EINVAL;
	for (value += at; *value;) {
		char *end;
		int fd = (int)strtol(value, &end, 10);

		if (end == value || !is_listening(fd))
			return -EINVAL;
		keep_not(restart_state, fd);
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
		value = *end == ',' ? end + 1 : end;
	}
	take_over_health(restart_state);
	take_over_streams(restart_state);
	unsetenv(UPGRADE_VARIABLE);
	unsetenv(HANDOFF_VARIABLE);
	unsetenv(HEALTH_VARIABLE);
	restart_state->upgraded_from = from;
	restart_state->worker_count = workers;
	return 0;
}

void upgrade_is_ready(struct restart_state *restart_state)
{
	if (!restart_state->upgraded_from)
		return;
	(void)kill(restart_state->upgraded_from, SIGUSR1);
	restart_state->upgraded_from = 0;
}
