/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/target/child_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/base/check.h"
#include "user/base/mem.h"

/* The six ends of the three pipes: what the child gets, and what we keep. */
struct child_pipes {
	int theirs[3];
	int ours[3];
};

static void close_all(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* Above the three numbers that they take the place of. */
static int lifted(int fd)
{
	int high;

	if (fd > STDERR_FILENO)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	close(fd);
	return high;
}

static int pipes_open(struct child_pipes *pipes)
{
	memset(pipes, -1, sizeof(*pipes));
	for (int i = 0; i < 3; i++) {
		bool is_input = i == STDIN_FILENO;
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) < 0)
			return -errno;
		pipes->theirs[i] = lifted(ends[is_input ? 0 : 1]);
		pipes->ours[i] = lifted(ends[is_input ? 1 : 0]);
		if (pipes->theirs[i] < 0 || pipes->ours[i] < 0 ||
		    fcntl(pipes->ours[i], F_SETFL, O_NONBLOCK) < 0)
			return -errno;
	}
	return 0;
}

/* The gateway's own environment without what is between it and its supervisor. */
static bool is_inherited(const char *variable, const char *const *overrides)
{
	size_t name_len = strcspn(variable, "=") + 1;

	if (strncmp(variable, "NOTIFY_SOCKET=", 14) == 0 || strncmp(variable, "LISTEN_", 7) == 0 ||
	    strncmp(variable, "WATCHDOG_", 9) == 0)
		return false;
	for (; *overrides; overrides++) {
		if (strncmp(variable, *overrides, name_len) == 0)
			return false;
	}
	return true;
}

static size_t count_of(const char *const *list)
{
	size_t count = 0;

	while (list[count])
		count++;
	return count;
}

/* A list of borrowed texts for exec; NULL without memory. execvpe() takes no pointers to const. */
static char **child_arguments(const struct child_options *options)
{
	char **list = hg_calloc(count_of(options->arguments) + 2, sizeof(*list));
	size_t count = 0;

	if (!list)
		return NULL;
	list[count++] = (char *)(uintptr_t)options->command;
	for (const char *const *at = options->arguments; *at; at++)
		list[count++] = (char *)(uintptr_t)*at;
	return list;
}

static char **child_environment(const struct child_options *options)
{
	size_t inherited = options->clear_environment ? 0 : count_of((const char *const *)environ);
	char **list = hg_calloc(inherited + count_of(options->environment) + 1, sizeof(*list));
	size_t count = 0;

	if (!list)
		return NULL;
	for (size_t i = 0; i < inherited; i++) {
		if (is_inherited(environ[i], options->environment))
			list[count++] = environ[i];
	}
	for (const char *const *at = options->environment; *at; at++)
		list[count++] = (char *)(uintptr_t)*at;
	return list;
}

/*
 * What the child does before its program: only system calls, because it runs in our memory. ret_error is
 * volatile: the compiler may drop a store before _exit() that it thinks nobody reads.
 */
static noreturn void child_main(const struct child_options *options, const struct child_pipes *pipes,
				char **arguments, char **environment, pid_t parent, volatile int *ret_error)
{
	sigset_t none;

	sigemptyset(&none);
	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL);
	/* Get a signal when the gateway is killed; it may have died before this line. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (getppid() != parent)
		_exit(1);
	(void)setpgid(0, 0);
	for (int i = 0; i < 3; i++) {
		if (dup2(pipes->theirs[i], i) < 0) {
			*ret_error = errno;
			_exit(1);
		}
	}
	(void)close_range(STDERR_FILENO + 1, ~0u, 0);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execvpe(options->command, arguments, environment);
	*ret_error = errno;
	_exit(1);
}

/*
 * posix_spawn(3) cannot ask for a signal at the crash of the parent. As there, no signal reaches the child
 * while it runs in our memory, and this thread goes on when the program runs or there is none.
 */
static int spawn_with(const struct child_options *options, const struct child_pipes *pipes, char **arguments,
		      char **environment, pid_t *ret_pid)
{
	volatile int error = 0;
	pid_t self = getpid();
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	pid = vfork();
	if (pid == 0)
		child_main(options, pipes, arguments, environment, self, &error);
	if (pid < 0)
		error = errno;
	else if (error)
		(void)waitpid(pid, NULL, 0);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	*ret_pid = pid;
	return -error;
}

static int spawn(const struct child_options *options, const struct child_pipes *pipes, pid_t *ret_pid)
{
	char **arguments = child_arguments(options), **environment = child_environment(options);
	int error = -ENOMEM;

	if (arguments && environment)
		error = spawn_with(options, pipes, arguments, environment, ret_pid);
	hg_free(arguments);
	hg_free(environment);
	return error;
}

int child_spawn(const struct child_options *options, int ours[3], pid_t *ret_pid)
{
	struct child_pipes pipes;
	int error = pipes_open(&pipes);

	if (!error)
		error = spawn(options, &pipes, ret_pid);
	close_all(pipes.theirs, ARRAY_LEN(pipes.theirs));
	if (error)
		close_all(pipes.ours, ARRAY_LEN(pipes.ours));
	memcpy(ours, pipes.ours, sizeof(pipes.ours));
	return error;
}
