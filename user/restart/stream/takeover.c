/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/stream/takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/base/failpoint.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/kernel/local/resume.h"
#include "user/net/socket.h"
#include "user/restart/handoff_channel.h"
#include "user/restart/upgrade.h"

void takeover_begin(struct takeover *takeover, struct restart_state *restart_state)
{
	int error;

	*takeover = (struct takeover){ .restart_state = restart_state, .handoff.fd = -1 };
	takeover->is_new_process = restart_state && (restart_state->lives > 1 || restart_state->worker_count);
	if (!takeover->is_new_process)
		return;
	error = inherited_fds_collect(&takeover->inherited, restart_state);
	if (error)
		log_error("cannot read the descriptors of the previous process: %s", strerrordesc_np(-error));
	failpoint(COLLECTED);
}

uint32_t takeover_workers(const struct takeover *takeover, uint32_t wanted)
{
	uint32_t before = takeover->restart_state ? takeover->restart_state->worker_count : 0;

	return before ? before : wanted;
}

bool takeover_take_port(struct takeover *takeover, const struct address *address, uint32_t count,
			int *ret_fds)
{
	if (!inherited_fds_take_listeners(&takeover->inherited, address, count, ret_fds))
		return false;
	takeover->taken_over_listeners++;
	failpoint(LISTENS);
	return true;
}

bool takeover_drop_port(struct takeover *takeover, uint16_t port)
{
	return inherited_fds_drop_listeners(&takeover->inherited, port);
}

/* Time for children to end: they got SIGTERM and EOF when they were found. */
enum { LATE_MS = 2000 };

static void on_late_timer(struct timer *timer, uint64_t now_ms)
{
	struct takeover *takeover = container_of(timer, struct takeover, late_timer);
	uint32_t count;

	inherited_fds_kill_children(&takeover->inherited.children);
	if (!takeover->host.local)
		return;
	if (atomic_load(takeover->host.resumptions_left)) {
		timer_arm(loop_timers(takeover->host.loop), timer, now_ms + LATE_MS);
		return;
	}
	count = local_sweep(takeover->host.local);
	if (count)
		log_info("same-host lanes: freed %u slots of connections that were not resumed", count);
}

/* Sockets that no worker can take stay for inherited_reset(). Returns how many were taken. */
static uint32_t hand_out(struct takeover *takeover, struct inherited_fds_socket *sockets, uint32_t count)
{
	const struct takeover_host *host = &takeover->host;
	uint32_t taken = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = takeover->next_worker++ % host->worker_count;

		if (host->take_over(host->context, index, sockets[i].fd, &sockets[i].local,
				    sockets[i].backend_fd >= 0) < 0)
			continue;
		sockets[i].fd = -1;
		taken++;
	}
	return taken;
}

/* ------------------------------------------------------------------------------------ an upgrade */

enum { HANDOFF_TURN_ITEMS = 64 };

static void handoff_end(struct takeover *takeover, const char *why)
{
	if (takeover->handoff.fd < 0)
		return;
	log_info("upgrade: the program before handed over %u idle clients and %u streams%s%s",
		 takeover->handed_clients, takeover->handed_streams, why ? ": " : "", why ? why : "");
	loop_source_remove(takeover->host.loop, &takeover->handoff);
	socket_close(takeover->handoff.fd);
	takeover->handoff.fd = -1;
	takeover->restart_state->old_process_fd = -1;
}

static void handoff_take(struct takeover *takeover, int client_fd, int backend_fd)
{
	struct inherited_fds_socket socket = inherited_fds_socket(client_fd, backend_fd);
	uint32_t taken = hand_out(takeover, &socket, 1);

	inherited_reset(&socket, 1, takeover->restart_state);
	if (backend_fd >= 0) {
		takeover->handed_streams += taken;
	} else {
		takeover->handed_clients += taken;
		takeover->restart_state->clients_taken_over += taken;
	}
}

static void on_handoff(struct loop_source *source, uint32_t events)
{
	struct takeover *takeover = container_of(source, struct takeover, handoff);
	int client_fd, backend_fd;

	(void)events;
	for (int count = 0; count < HANDOFF_TURN_ITEMS && source->fd >= 0; count++) {
		int result = handoff_receive(source->fd, takeover->restart_state, &client_fd, &backend_fd);

		if (result == -EAGAIN)
			return;
		if (result == 1)
			handoff_take(takeover, client_fd, backend_fd);
		else if (result == -EBADMSG)
			log_warn("upgrade: a connection of the program before is reset: its descriptors do "
				 "not fit into this process");
		else
			handoff_end(takeover, result ? strerrordesc_np(-result) : NULL);
	}
}

void takeover_take_health(struct takeover *takeover, struct buf *ret)
{
	struct restart_state *restart_state = takeover->restart_state;
	int fd = restart_state ? restart_state->old_health_fd : -1, error;

	if (fd < 0)
		return;
	/* Once: the next gateway of this program, after a crash, does not wait. */
	restart_state->old_health_fd = -1;
	error = handoff_receive_health(fd, LIMIT_HEALTH_HANDOVER_MS, ret, LIMIT_HEALTH_HANDED_OVER_BYTES);
	if (error)
		log_warn("upgrade: no health of endpoints from the program before: %s",
			 strerrordesc_np(-error));
	if (fd != restart_state->old_process_fd)
		close(fd);
}

void takeover_send_health(const struct takeover *takeover, struct span saved)
{
	int error, fd;

	if (!takeover->restart_state || takeover->restart_state->new_process_fd < 0)
		return;
	/* The keeper shares our descriptors, and closes its own if the new program ends. */
	fd = fcntl(takeover->restart_state->new_process_fd, F_DUPFD_CLOEXEC, 0);
	error = fd < 0 ? -errno : handoff_send_health(fd, saved);
	if (fd >= 0)
		close(fd);
	if (error)
		log_warn("upgrade: cannot hand over the health of endpoints: %s", strerrordesc_np(-error));
}

/* Call before reporting to the old program that this one is ready. */
static void handoff_begin(struct takeover *takeover)
{
	int error;

	loop_source_init(&takeover->handoff, takeover->restart_state->old_process_fd, on_handoff);
	if (takeover->handoff.fd < 0)
		return;
	error = loop_source_add(takeover->host.loop, &takeover->handoff, EPOLLIN | EPOLLRDHUP);
	if (error)
		handoff_end(takeover, strerrordesc_np(-error));
}

void takeover_take_no_more(const struct takeover *takeover)
{
	if (takeover->handoff.fd >= 0)
		(void)shutdown(takeover->handoff.fd, SHUT_RD);
}

bool takeover_has_all(const struct takeover *takeover)
{
	return takeover->handoff.fd < 0;
}

/* ------------------------------------------------------------------------------------ life */

void takeover_end(struct takeover *takeover, const struct takeover_host *host)
{
	struct inherited_fds *inherited = &takeover->inherited;
	uint32_t clients, streams;

	if (!takeover->is_new_process)
		return;
	takeover->host = *host;
	/* Streams first, because their bytes are in flight. */
	streams = hand_out(takeover, inherited->streams, inherited->stream_count);
	clients = hand_out(takeover, inherited->clients, inherited->client_count);
	failpoint(HANDED_OUT);
	handoff_begin(takeover);
	takeover->restart_state->listeners_taken_over += takeover->taken_over_listeners;
	takeover->restart_state->clients_taken_over += clients;
	log_info("%s: %u ports, %u idle clients and %u streams taken over, "
		 "%llu connections reset",
		 takeover->restart_state->upgraded_from ? "upgrade" : "recovered after a crash",
		 takeover->taken_over_listeners, clients, streams,
		 (unsigned long long)inherited->reset_count);
	inherited_fds_done(inherited, takeover->restart_state);
	if (host->local)
		local_listeners_settle(host->local);
	if (!inherited->children.count && !host->local)
		return;
	timer_init(&takeover->late_timer, on_late_timer);
	timer_arm(loop_timers(host->loop), &takeover->late_timer, loop_now_ms(host->loop) + LATE_MS);
	takeover->has_timer = true;
}

void takeover_stop(struct takeover *takeover)
{
	if (takeover->has_timer)
		timer_cancel(loop_timers(takeover->host.loop), &takeover->late_timer);
	handoff_end(takeover, NULL);
	inherited_fds_done(&takeover->inherited, takeover->restart_state);
	inherited_fds_kill_children(&takeover->inherited.children);
}

void takeover_give_up(const struct takeover *takeover)
{
	/* Exit without closing the descriptors of workers: another process could resume them. */
	if (takeover->is_new_process)
		_exit(1);
}

void takeover_ready(struct takeover *takeover, uint32_t worker_count)
{
	if (!takeover->restart_state)
		return;
	failpoint(READY);
	takeover->restart_state->worker_count = worker_count;
	restart_state_set_phase(takeover->restart_state, RESTART_READY);
	upgrade_is_ready(takeover->restart_state);
}

bool takeover_is_handed_over(const struct takeover *takeover)
{
	return takeover->restart_state && atomic_load(&takeover->restart_state->is_handed_over);
}

bool takeover_takes_connections(const struct takeover *takeover)
{
	bool takes = takeover->restart_state->new_process_fd >= 0 &&
		     handoff_has_hello(takeover->restart_state->new_process_fd);

	if (!takes)
		log_info("upgrade: connections stay here until they end: the new program keeps other records "
			 "of them, as another version may");
	return takes;
}
