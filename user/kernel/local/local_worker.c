/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/local/local_worker.h"

#include <bpf/libbpf.h>
#include <errno.h>

#include "user/base/mem.h"
#include "user/kernel/local/bypass.h"
#include "user/kernel/local/local_internal.h"

static int ring_take(struct local *local, uint32_t *ret_ring)
{
	int error = -ENOSPC;

	pthread_mutex_lock(&local->lock);
	for (uint32_t i = 0; i < local->ring_count && error; i++) {
		if (local->ring_is_taken[i])
			continue;
		local->ring_is_taken[i] = true;
		*ret_ring = i;
		error = 0;
	}
	pthread_mutex_unlock(&local->lock);
	return error;
}

static void ring_give(struct local *local, uint32_t ring)
{
	pthread_mutex_lock(&local->lock);
	local->ring_is_taken[ring] = false;
	pthread_mutex_unlock(&local->lock);
}

static int event_take(void *arg, void *data, size_t size)
{
	struct local_worker *worker = arg;
	const struct local_lane_event *event = data;
	const struct local_record *record;
	uint64_t owner;

	if (size < sizeof(*event) || event->slot.index >= worker->local->slot_count)
		return 0;
	record = &worker->local->records[event->slot.index];
	/* A bypass that has stopped may also have gone to another thread, or its process has crashed. */
	owner = __atomic_load_n(&record->user.owner, __ATOMIC_ACQUIRE);
	if (owner && record->user.generation == event->slot.generation && record->user.ring == worker->ring)
		bypass_tell((struct bypass *)(uintptr_t)owner);
	/* A negative value ends this round; the event is consumed nevertheless. */
	return --worker->poll_budget == 0 ? -EINTR : 0;
}

int local_worker_create(struct local *local, struct local_worker **ret_worker)
{
	struct local_worker *worker = hg_calloc(1, sizeof(*worker));
	int error;

	if (!worker)
		return -ENOMEM;
	worker->local = local;
	list_init(&worker->waiting);
	error = ring_take(local, &worker->ring);
	if (error) {
		hg_free(worker);
		return error;
	}
	worker->events = ring_buffer__new(local->ring_fds[worker->ring], event_take, worker, NULL);
	if (!worker->events) {
		error = -errno;
		local_worker_free(worker);
		return error;
	}
	*ret_worker = worker;
	return 0;
}

void local_worker_free(struct local_worker *worker)
{
	if (!worker)
		return;
	ring_buffer__free(worker->events);
	ring_give(worker->local, worker->ring);
	hg_free(worker);
}

int local_worker_fd(const struct local_worker *worker)
{
	return ring_buffer__epoll_fd(worker->events);
}

void local_worker_poll(struct local_worker *worker)
{
	worker->poll_budget = LOCAL_POLL_EVENTS;
	ring_buffer__consume(worker->events);
}

bool local_worker_retry(struct local_worker *worker)
{
	struct list asked;

	list_init(&asked);
	list_splice(&asked, &worker->waiting);
	while (!list_is_empty(&asked))
		bypass_tell(list_entry(asked.next, struct bypass, waiting));
	return !list_is_empty(&worker->waiting);
}
