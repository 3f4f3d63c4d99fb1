/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/state.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "user/base/check.h"
#include "user/base/hash.h"
#include "user/net/descriptors.h"

static const char *const status_names[] = {
#define CONN_STATUS(id, name) name,
#include "user/restart/conn_status.def"
#undef CONN_STATUS
};

const char *conn_status_name(enum conn_status status)
{
	return status_names[status];
}

uint64_t restart_state_layout(void)
{
#define STREAM_FIELD(type, member, taken, put_back, is_sound)                                                \
#type " " #member " " #taken " " #put_back " " #is_sound "\n"
#define BODY_FIELD STREAM_FIELD
	static const char entries[] =
#include "user/restart/stream_fields.def"
		"";
#undef STREAM_FIELD
#undef BODY_FIELD

	return hash_mix(hash_bytes(span_of(entries, sizeof(entries) - 1)),
			hash_mix(RESTART_LAYOUT_VERSION, sizeof(struct restart_entry)));
}

static void *memory_share(size_t bytes)
{
	void *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void streams_free(struct restart_state *restart_state)
{
	if (restart_state->streams)
		munmap(restart_state->streams, restart_state->stream_count * sizeof(*restart_state->streams));
	if (restart_state->long_texts)
		munmap(restart_state->long_texts,
		       restart_state->stream_count * sizeof(*restart_state->long_texts));
	restart_state->streams = NULL;
	restart_state->long_texts = NULL;
}

static void announced_free(struct restart_state *restart_state)
{
	if (restart_state->announced)
		munmap(restart_state->announced,
		       restart_state->stream_count * sizeof(*restart_state->announced));
	restart_state->announced = NULL;
}

/* One entry for each possible descriptor. Without entries, streams end with their gateway. */
static void streams_create(struct restart_state *restart_state)
{
	struct rlimit limit = { .rlim_cur = 1024 };

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	restart_state->stream_count =
		limit.rlim_cur < RESTART_DESCRIPTORS ? (uint32_t)limit.rlim_cur : RESTART_DESCRIPTORS;
	restart_state->streams = memory_share(restart_state->stream_count * sizeof(*restart_state->streams));
	restart_state->long_texts =
		memory_share(restart_state->stream_count * sizeof(*restart_state->long_texts));
	restart_state->announced =
		memory_share(restart_state->stream_count * sizeof(*restart_state->announced));
	if (!restart_state->streams || !restart_state->long_texts)
		streams_free(restart_state);
}

struct restart_state *restart_state_create(void)
{
	struct restart_state *restart_state = memory_share(sizeof(*restart_state));

	if (!restart_state)
		return NULL;
	restart_state->new_process_fd = -1;
	restart_state->old_process_fd = -1;
	restart_state->old_health_fd = -1;
	streams_create(restart_state);
	return restart_state;
}

void restart_state_free(struct restart_state *restart_state)
{
	if (!restart_state)
		return;
	streams_free(restart_state);
	announced_free(restart_state);
	munmap(restart_state, sizeof(*restart_state));
}

struct restart_entry *restart_entry_resumable(struct restart_state *restart_state, int client_fd)
{
	struct restart_entry *entry = restart_entry(restart_state, client_fd);

	enum conn_status status = conn_status_of(restart_state, client_fd);

	if (!entry || entry->kind > RESTART_STREAM_RESPONSE || status != conn_status_of_kind(entry->kind) ||
	    conn_status_of(restart_state, entry->backend_fd) != CONN_STATUS_BACKEND)
		return NULL;
	for (size_t direction = 0; direction < ARRAY_LEN(entry->directions); direction++) {
		if (atomic_load_explicit(&entry->directions[direction].is_busy, memory_order_acquire))
			return NULL;
	}
	return entry;
}

char *restart_entry_texts(struct restart_state *restart_state, int client_fd, size_t bytes)
{
	if (bytes <= RESTART_TEXT_BYTES)
		return restart_state->streams[client_fd].texts;
	return bytes <= RESTART_LONG_TEXT_BYTES ? restart_state->long_texts[client_fd] : NULL;
}

static int keep_descriptor(void *context, int fd)
{
	struct restart_state *restart_state = context;

	if (restart_state->kept_count == RESTART_KEPT)
		return -E2BIG;
	restart_state->kept[restart_state->kept_count++] = fd;
	return 0;
}

int restart_state_keep_descriptors(struct restart_state *restart_state)
{
	restart_state->kept_count = 0;
	return descriptors_each(keep_descriptor, restart_state);
}

bool restart_state_keeps(const struct restart_state *restart_state, int fd)
{
	for (uint32_t i = 0; i < restart_state->kept_count; i++) {
		if (restart_state->kept[i] == fd)
			return true;
	}
	return false;
}
