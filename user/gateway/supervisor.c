/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/base/clock.h"
#include "user/base/span.h"

static void supervisor_send(const struct supervisor *supervisor, const char *message)
{
	int fd;

	if (!supervisor->address_len)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, message, strlen(message), MSG_NOSIGNAL,
		     (const struct sockaddr *)&supervisor->address, supervisor->address_len);
	close(fd);
}

static void supervisor_on_timer(struct timer *timer, uint64_t now_ms)
{
	struct supervisor *supervisor = container_of(timer, struct supervisor, timer);

	supervisor_send(supervisor, "WATCHDOG=1");
	timer_arm(loop_timers(supervisor->loop), timer, now_ms + supervisor->interval_ms);
}

/* A path, or a name in the abstract namespace, which starts with @. */
static void take_address(struct supervisor *supervisor, const char *name)
{
	size_t len = name ? strlen(name) : 0;

	if (len < 2 || (name[0] != '/' && name[0] != '@') || len >= sizeof(supervisor->address.sun_path))
		return;
	supervisor->address.sun_family = AF_UNIX;
	memcpy(supervisor->address.sun_path, name, len + 1);
	supervisor->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (name[0] == '@')
		supervisor->address.sun_path[0] = '\0';
}

static void take_watchdog(struct supervisor *supervisor, const char *usec, const char *pid)
{
	uint64_t value;

	if (pid && (span_parse_u63(span_str(pid), &value) < 0 ||
		    (value != (uint64_t)getpid() && value != (uint64_t)getppid())))
		return;
	if (usec && span_parse_u63(span_str(usec), &value) == 0 && value)
		supervisor->interval_ms = value / 2 / 1000 ? value / 2 / 1000 : 1;
}

void supervisor_init(struct supervisor *supervisor)
{
	*supervisor = (struct supervisor){ 0 };
	timer_init(&supervisor->timer, supervisor_on_timer);
	take_address(supervisor, getenv("NOTIFY_SOCKET"));
	if (supervisor->address_len)
		take_watchdog(supervisor, getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
}

void supervisor_start(struct supervisor *supervisor, struct loop *loop)
{
	supervisor->loop = loop;
	if (supervisor->interval_ms)
		supervisor_on_timer(&supervisor->timer, loop_now_ms(loop));
}

void supervisor_stop(struct supervisor *supervisor)
{
	if (supervisor->loop)
		timer_cancel(loop_timers(supervisor->loop), &supervisor->timer);
}

void supervisor_tell_ready(const struct supervisor *supervisor, pid_t main_pid)
{
	char message[64];

	snprintf(message, sizeof(message), "MAINPID=%d\nREADY=1", (int)main_pid);
	supervisor_send(supervisor, message);
}

void supervisor_tell(const struct supervisor *supervisor, enum supervisor_event event)
{
	char message[64];

	switch (event) {
	case SUPERVISOR_RELOADED:
		supervisor_send(supervisor, "READY=1");
		break;
	case SUPERVISOR_RELOADING:
		snprintf(message, sizeof(message), "RELOADING=1\nMONOTONIC_USEC=%llu",
			 (unsigned long long)(clock_now_ns() / 1000));
		supervisor_send(supervisor, message);
		break;
	case SUPERVISOR_STOPPING:
		supervisor_send(supervisor, "STOPPING=1");
		break;
	}
}
