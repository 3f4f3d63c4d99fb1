/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/log_writer.h"
#include "user/restart/inherited_fds.h"
#include "user/restart/oom.h"

enum {
	KEEPER_PAUSE_MS = 100, /* pause before a new process if the last one failed before it was ready */
	KEEPER_PAUSE_MAX_MS = 5000,
	KEEPER_MINUTE_MS = 60000,
	KEEPER_REPORT_MS = 1000, /* for writing the report to standard error */
	KEEPER_END_MS = 5000, /* minimum time for a gateway to start shutting down after the signal */
	KEEPER_END_MORE_MS =
		LIMIT_MCP_END_MS + 2 * LIMIT_LOG_END_MS, /* after its deadline, for its children */
	KEEPER_FAILED = 1, /* exit status */
};

/* SIGUSR2 requests an upgrade; the new program sends SIGUSR1 when it serves; the others are forwarded. */
static const int waited_for[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };

struct keeper {
	const struct keeper_options *options;
	struct restart_state *restart_state;
	sigset_t signals; /* blocked, and received by sigtimedwait() */
	sigset_t before;
	pid_t gateway; /* 0: none runs */
	pid_t new_process; /* the new program during an upgrade; 0: none */
	bool is_told; /* the keeper has received SIGTERM or SIGINT */
	uint64_t told_ms; /* when the running gateway was signalled to end; 0: it was not */
	bool was_ready; /* some gateway was ready */
	uint32_t pause_ms;
	uint32_t minute_crashes; /* since minute_ms */
	uint64_t minute_ms;
};

/* ------------------------------------------------------------------------------------ processes */

/* Never returns. */
static void gateway_main(const struct keeper *keeper, pid_t parent)
{
	sigset_t mask = keeper->before;
	int status;

	/* The gateway dies with the keeper: no other process would close the descriptors. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != parent)
		_exit(KEEPER_FAILED);
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_NAME, "headgate", 0, 0, 0);
	oom_restore(keeper->restart_state->oom_score);
	/*
	 * Keep forwarded signals blocked until the gateway handles them: they must not end a gateway that is
	 * still loading.
	 */
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGUSR2);
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	crash_watch(&keeper->restart_state->crash);
	log_writer_forked();
	status = keeper->options->serve(keeper->options->argument, keeper->restart_state);
	log_writer_end(LIMIT_LOG_END_MS);
	exit(status);
}

static void keeper_note_start(struct restart_state *restart_state)
{
	uint64_t number = ++restart_state->lives;

	restart_state->starts[number % RESTART_STARTS] = (struct restart_start){
		.wall_us = clock_wall_us(),
		.cause = number > 1			? RESTART_CRASH
			 : restart_state->upgraded_from ? RESTART_UPGRADE
							: RESTART_FIRST,
	};
}

/* Keeper and gateway share one table of descriptors; fork(2) would copy it. */
static int keeper_start_gateway(struct keeper *keeper)
{
	pid_t self = getpid();
	long pid;

	restart_state_set_phase(keeper->restart_state, RESTART_STARTING);
	keeper_note_start(keeper->restart_state);
	atomic_store(&keeper->restart_state->crash.state, CRASH_NONE);
	(void)fflush(NULL);
	pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		gateway_main(keeper, self);
	keeper->gateway = (pid_t)pid;
	return 0;
}

static void keeper_pass_on(struct keeper *keeper, int number)
{
	bool ends = number == SIGTERM || number == SIGINT;

	keeper->is_told |= ends;
	if (!keeper->gateway)
		return;
	(void)kill(keeper->gateway, number);
	if (ends && !keeper->told_ms)
		keeper->told_ms = clock_now_ms();
}

/*
 * Milliseconds until the gateway must have exited, UINT64_MAX: no limit. A gateway that is stuck (stopped, or
 * in a loop) does not start to shut down; one that has started still ends its MCP children after its
 * deadline.
 */
static uint64_t keeper_end_left_ms(const struct keeper *keeper, uint64_t now_ms)
{
	uint64_t limit_ms = atomic_load(&keeper->restart_state->end_ms);
	uint64_t end_ms;

	if (!keeper->told_ms)
		return UINT64_MAX;
	if (limit_ms < KEEPER_END_MS)
		limit_ms = KEEPER_END_MS;
	if (atomic_load(&keeper->restart_state->phase) == RESTART_ENDING)
		limit_ms += KEEPER_END_MORE_MS;
	end_ms = keeper->told_ms + limit_ms;
	return now_ms < end_ms ? end_ms - now_ms : 0;
}

/* Kills the gateway when its time is over. Returns the milliseconds until the next check. */
static uint64_t keeper_enforce_end(struct keeper *keeper, uint64_t now_ms)
{
	uint64_t left_ms = keeper_end_left_ms(keeper, now_ms);

	if (left_ms)
		return left_ms;
	log_error("the gateway (process %d) has not ended %llu ms after it was signalled: killing it",
		  (int)keeper->gateway, (unsigned long long)(now_ms - keeper->told_ms));
	(void)kill(keeper->gateway, SIGKILL);
	keeper->told_ms = 0;
	return UINT64_MAX;
}

static void keeper_upgrade(struct keeper *keeper)
{
	pid_t pid;

	if (keeper->new_process || keeper->is_told ||
	    atomic_load(&keeper->restart_state->phase) != RESTART_READY) {
		log_warn("no upgrade now: %s",
			 keeper->new_process ? "one is in progress" : "no gateway is ready");
		return;
	}
	pid = keeper->options->upgrade
		      ? upgrade_start(keeper->options->upgrade, keeper->restart_state, &keeper->before)
		      : -ENOENT;
	if (pid < 0) {
		log_error("upgrade: cannot start a process: %s", strerrordesc_np(-pid));
		return;
	}
	log_info("upgrade: process %d of %s will take over", (int)pid, keeper->options->upgrade->path);
	keeper->new_process = pid;
	/* The gateway sends the health of its endpoints, which the new one waits for. */
	if (keeper->gateway)
		(void)kill(keeper->gateway, SIGUSR2);
}

static void keeper_upgrade_failed(const struct keeper *keeper)
{
	log_error("upgrade: process %d ended before it was ready: this one keeps serving",
		  (int)keeper->new_process);
	upgrade_failed(keeper->restart_state);
}

/*
 * The new program serves: this gateway may close the listening sockets, which the new one also has, and
 * drain.
 */
static void keeper_hand_over(struct keeper *keeper)
{
	/* Only once: a second SIGTERM would end the drain at once. */
	if (!keeper->new_process || atomic_load(&keeper->restart_state->is_handed_over))
		return;
	log_info("upgrade: process %d serves, this one drains", (int)keeper->new_process);
	atomic_store(&keeper->restart_state->is_handed_over, true);
	if (!keeper->is_told)
		keeper_pass_on(keeper, SIGTERM);
}

/* As the first process of a container, the keeper also becomes the parent of crashed gateways' orphans. */
static void keeper_bury_orphans(const struct keeper *keeper, pid_t pid)
{
	siginfo_t info = { 0 };

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0 &&
	       info.si_pid != keeper->gateway && info.si_pid != keeper->new_process && info.si_pid != pid) {
		(void)waitpid(info.si_pid, NULL, WNOHANG);
		info.si_pid = 0;
	}
}

static void keeper_on_signal(struct keeper *keeper, int number, pid_t pid)
{
	int status;

	switch (number) {
	case SIGCHLD:
		keeper_bury_orphans(keeper, pid);
		if (keeper->new_process &&
		    waitpid(keeper->new_process, &status, WNOHANG) == keeper->new_process) {
			if (!atomic_load(&keeper->restart_state->is_handed_over))
				keeper_upgrade_failed(keeper);
			keeper->new_process = 0;
		}
		break;
	case SIGUSR1:
		keeper_hand_over(keeper);
		break;
	case SIGUSR2:
		keeper_upgrade(keeper);
		break;
	default:
		keeper_pass_on(keeper, number);
	}
}

/* Forwards signals for at most timeout_ms (-1: no limit). True: process pid has ended, see *ret_status. */
static bool keeper_wait(struct keeper *keeper, pid_t pid, int timeout_ms, int *ret_status)
{
	uint64_t end_ms = clock_now_ms() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms);

	for (;;) {
		uint64_t now_ms = clock_now_ms();
		uint64_t left_ms = timeout_ms < 0 ? KEEPER_MINUTE_MS : now_ms < end_ms ? end_ms - now_ms : 0;
		struct timespec left;
		uint64_t end_left_ms;
		int number;

		if (pid && waitpid(pid, ret_status, WNOHANG) == pid)
			return true;
		if (timeout_ms >= 0 && (left_ms == 0 || (!pid && keeper->is_told)))
			return false;
		end_left_ms = keeper->gateway ? keeper_enforce_end(keeper, now_ms) : UINT64_MAX;
		if (end_left_ms < left_ms)
			left_ms = end_left_ms;
		left = (struct timespec){ .tv_sec = (time_t)(left_ms / 1000),
					  .tv_nsec = (long)(left_ms % 1000) * 1000000 };
		log_writer_flush();
		number = sigtimedwait(&keeper->signals, NULL, &left);
		if (number > 0)
			keeper_on_signal(keeper, number, pid);
	}
}

/* In a separate process: reporting needs memory, and may block on the reader of the log. */
static void keeper_report(struct keeper *keeper, pid_t dead, int number)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		log_writer_forked();
		crash_report(keeper->restart_state, dead, number);
		log_writer_end(KEEPER_REPORT_MS);
		_exit(0);
	}
	if (pid > 0 && !keeper_wait(keeper, pid, KEEPER_REPORT_MS, &status)) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
	}
}

/* ------------------------------------------------------------------------------------ crashes */

/* The keeper's exit status, or -1: start a new gateway. */
static int keeper_judge(struct keeper *keeper, int status)
{
	bool was_ready = atomic_load(&keeper->restart_state->phase) != RESTART_STARTING;
	uint64_t now_ms = clock_now_ms();

	if (WIFEXITED(status) && (was_ready || !keeper->was_ready || WEXITSTATUS(status) == 0))
		return WEXITSTATUS(status);
	keeper->was_ready |= was_ready;
	if (keeper->is_told || atomic_load(&keeper->restart_state->phase) == RESTART_ENDING)
		return KEEPER_FAILED;
	if (!keeper->minute_crashes || now_ms - keeper->minute_ms > KEEPER_MINUTE_MS) {
		keeper->minute_ms = now_ms;
		keeper->minute_crashes = 0;
	}
	keeper->minute_crashes++;
	if (was_ready)
		keeper->pause_ms = 0;
	else if (keeper->pause_ms < KEEPER_PAUSE_MAX_MS)
		keeper->pause_ms = keeper->pause_ms ? 2 * keeper->pause_ms : KEEPER_PAUSE_MS;
	if (!keeper->options->restart_limit || keeper->minute_crashes <= keeper->options->restart_limit)
		return -1;
	log_error("the gateway died %u times within a minute: it is not restarted "
		  "(--restart-limit sets the limit)",
		  keeper->minute_crashes);
	return KEEPER_FAILED;
}

static int keeper_on_end(struct keeper *keeper, int status)
{
	pid_t dead = keeper->gateway;
	int result;

	keeper->gateway = 0;
	keeper->told_ms = 0;
	if (WIFSIGNALED(status)) {
		atomic_fetch_add(&keeper->restart_state->crashes, 1);
		keeper_report(keeper, dead, WTERMSIG(status));
	}
	result = keeper_judge(keeper, status);
	if (result >= 0)
		return result;
	if (WIFEXITED(status))
		log_error("restart failed with status %d: trying again in %u ms", WEXITSTATUS(status),
			  keeper->pause_ms);
	if (keeper->pause_ms)
		(void)keeper_wait(keeper, 0, (int)keeper->pause_ms, &status);
	return keeper->is_told ? 0 : -1;
}

int keeper_run(const struct keeper_options *options)
{
	struct keeper keeper = { .options = options, .restart_state = restart_state_create() };
	int result = keeper.restart_state ? restart_state_keep_descriptors(keeper.restart_state) : -ENOMEM;

	if (keeper.restart_state)
		log_writer_count_in(&keeper.restart_state->log_dropped);
	if (!result)
		result = upgrade_take_over(keeper.restart_state);
	sigemptyset(&keeper.signals);
	sigaddset(&keeper.signals, SIGCHLD);
	for (size_t i = 0; i < ARRAY_LEN(waited_for); i++)
		sigaddset(&keeper.signals, waited_for[i]);
	/* Some parents ignore SIGCHLD; then exit statuses of children would be lost. */
	if (!result && signal(SIGCHLD, SIG_DFL) == SIG_ERR)
		result = -errno;
	if (!result && sigprocmask(SIG_BLOCK, &keeper.signals, &keeper.before) < 0)
		result = -errno;
	if (result) {
		log_error("the keeper cannot start: %s; --no-keeper runs without it",
			  strerrordesc_np(-result));
		return KEEPER_FAILED;
	}
	keeper.restart_state->oom_score = oom_protect();
	result = -1;
	while (result < 0) {
		int status = 0;
		int error = keeper_start_gateway(&keeper);

		if (error) {
			log_error("the keeper cannot start the gateway: %s", strerrordesc_np(-error));
			result = KEEPER_FAILED;
		} else if (keeper_wait(&keeper, keeper.gateway, -1, &status)) {
			result = keeper_on_end(&keeper, status);
		}
	}
	/* A gateway that exited by itself has left nothing open; looking for it takes at most 0.1 s. */
	if (atomic_load(&keeper.restart_state->crashes))
		inherited_fds_drop(keeper.restart_state);
	log_writer_end(LIMIT_LOG_END_MS);
	log_writer_count_in(NULL);
	restart_state_free(keeper.restart_state);
	return result;
}
