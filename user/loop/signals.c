/* SPDX-License-Identifier: Apache-2.0 */
#include "user/loop/signals.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void signals_set(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR2);
}

void signals_ignore_upgrade(void)
{
	(void)signal(SIGUSR1, SIG_IGN);
	(void)signal(SIGUSR2, SIG_IGN);
}

int signals_block(void)
{
	sigset_t set;

	signals_set(&set);
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void signals_on_event(struct loop_source *source, uint32_t events)
{
	struct signals *signals = container_of(source, struct signals, source);
	struct signalfd_siginfo info;

	(void)events;
	while (source->handle && read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		signals->on_signal(signals, (int)info.ssi_signo);
}

int signals_start(struct signals *signals, struct loop *loop,
		  void (*on_signal)(struct signals *signals, int number))
{
	sigset_t set;
	int error;
	int fd;

	signals_set(&set);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	signals->on_signal = on_signal;
	loop_source_init(&signals->source, fd, signals_on_event);
	error = loop_source_add(loop, &signals->source, EPOLLIN);
	if (error < 0)
		close(fd);
	return error;
}

void signals_stop(struct signals *signals, struct loop *loop)
{
	if (signals->source.handle == 0)
		return;
	loop_source_remove(loop, &signals->source);
	close(signals->source.fd);
}
