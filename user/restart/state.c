/* SPDX-License-Identifier: Apache-2.0 */
#include "user/restart/state.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "user/base/check.h"
#include "user/base/hash.h"
#include "user/net/descriptors.h"

static const char *const mark_names[] = {
#define ESTATE_MARK(id, name) name,
#include "user/restart/conn_status.def"
#undef ESTATE_MARK
};

const char *estate_mark_name(enum estate_mark mark)
{
	return mark_names[mark];
}

uint64_t estate_layout(void)
{
#define STREAM_FIELD(type, member, taken, put_back, is_sound)                                                \
#type " " #member " " #taken " " #put_back " " #is_sound "\n"
#define BODY_FIELD STREAM_FIELD
	static const char rows[] =
#include "user/restart/stream_fields.def"
		"";
#undef STREAM_FIELD
#undef BODY_FIELD

	return hash_mix(hash_bytes(span_of(rows, sizeof(rows) - 1)),
			hash_mix(ESTATE_LAYOUT_VERSION, sizeof(struct estate_stream)));
}

static void *memory_share(size_t bytes)
{
	void *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void streams_free(struct estate *estate)
{
	if (estate->streams)
		munmap(estate->streams, estate->stream_count * sizeof(*estate->streams));
	if (estate->long_texts)
		munmap(estate->long_texts, estate->stream_count * sizeof(*estate->long_texts));
	estate->streams = NULL;
	estate->long_texts = NULL;
}

/* As many as there may be descriptors. Without them streams end with their gateway. */
static void streams_create(struct estate *estate)
{
	struct rlimit limit = { .rlim_cur = 1024 };

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	estate->stream_count =
		limit.rlim_cur < ESTATE_DESCRIPTORS ? (uint32_t)limit.rlim_cur : ESTATE_DESCRIPTORS;
	estate->streams = memory_share(estate->stream_count * sizeof(*estate->streams));
	estate->long_texts = memory_share(estate->stream_count * sizeof(*estate->long_texts));
	if (!estate->streams || !estate->long_texts)
		streams_free(estate);
}

struct estate *estate_create(void)
{
	struct estate *estate = memory_share(sizeof(*estate));

	if (!estate)
		return NULL;
	estate->heir_fd = -1;
	estate->elder_fd = -1;
	streams_create(estate);
	return estate;
}

void estate_free(struct estate *estate)
{
	if (!estate)
		return;
	streams_free(estate);
	munmap(estate, sizeof(*estate));
}

struct estate_stream *estate_adoptable(struct estate *estate, int client_fd)
{
	struct estate_stream *row = estate_stream(estate, client_fd);

	enum estate_mark mark = estate_mark_of(estate, client_fd);

	if (!row || row->kind > ESTATE_STREAM_RESPONSE || mark != estate_mark_of_kind(row->kind) ||
	    estate_mark_of(estate, row->backend_fd) != ESTATE_MARK_BACKEND)
		return NULL;
	for (size_t way = 0; way < ARRAY_LEN(row->ways); way++) {
		if (atomic_load_explicit(&row->ways[way].is_busy, memory_order_acquire))
			return NULL;
	}
	return row;
}

char *estate_texts(struct estate *estate, int client_fd, size_t bytes)
{
	if (bytes <= ESTATE_TEXT_BYTES)
		return estate->streams[client_fd].texts;
	return bytes <= ESTATE_LONG_TEXT_BYTES ? estate->long_texts[client_fd] : NULL;
}

static int keep_descriptor(void *context, int fd)
{
	struct estate *estate = context;

	if (estate->kept_count == ESTATE_KEPT)
		return -E2BIG;
	estate->kept[estate->kept_count++] = fd;
	return 0;
}

int estate_keep_descriptors(struct estate *estate)
{
	estate->kept_count = 0;
	return descriptors_each(keep_descriptor, estate);
}

bool estate_keeps(const struct estate *estate, int fd)
{
	for (uint32_t i = 0; i < estate->kept_count; i++) {
		if (estate->kept[i] == fd)
			return true;
	}
	return false;
}
