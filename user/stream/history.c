/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/history.h"

#include "user/base/mem.h"

enum { HISTORY_TEXT_BYTES = 768 };

struct history_entry {
	struct stream_record record; /* spans point into text */
	uint64_t ended_wall_us;
	char text[HISTORY_TEXT_BYTES];
};

struct stream_history {
	uint64_t *serial; /* borrowed, or own_serial */
	uint64_t own_serial;
	uint64_t worker_bits;
	uint32_t count; /* entries in use */
	uint32_t next; /* index of the next entry to write */
	struct history_entry entries[LIMIT_HISTORY_STREAMS];
};

struct stream_history *stream_history_create(uint32_t worker_index, uint64_t *serial)
{
	struct stream_history *history = hg_calloc(1, sizeof(*history));

	if (!history)
		return NULL;
	history->worker_bits = (uint64_t)(worker_index + 1) << STREAM_ID_WORKER_SHIFT;
	history->serial = serial ? serial : &history->own_serial;
	return history;
}

void stream_history_free(struct stream_history *history)
{
	hg_free(history);
}

uint64_t stream_history_next_id(struct stream_history *history)
{
	return history->worker_bits | ++*history->serial;
}

static void history_copy(struct history_entry *entry, size_t *used, struct span *text)
{
	struct span from;

	/* Most are: nothing may point to memory that ends with the stream. */
	if (!text->len) {
		text->data = NULL;
		return;
	}
	from = span_first(*text, HISTORY_TEXT_BYTES - *used);
	memcpy(entry->text + *used, from.data, from.len);
	*text = span_of(entry->text + *used, from.len);
	*used += from.len;
}

void stream_history_add(struct stream_history *history, const struct stream_record *record,
			uint64_t ended_wall_us)
{
	struct history_entry *entry = &history->entries[history->next];
	size_t used = 0;

	entry->record = *record;
	entry->ended_wall_us = ended_wall_us;
#define RECORD_TEXT(member, key, example) history_copy(entry, &used, &entry->record.member);
#include "user/obs/record_texts.def"
#undef RECORD_TEXT
	history->next = (history->next + 1) % LIMIT_HISTORY_STREAMS;
	if (history->count < LIMIT_HISTORY_STREAMS)
		history->count++;
}

const struct stream_record *stream_history_get(const struct stream_history *history, uint32_t index,
					       uint64_t *ret_ended_wall_us)
{
	const struct history_entry *entry;

	if (index >= history->count)
		return NULL;
	entry = &history->entries[(history->next + LIMIT_HISTORY_STREAMS - 1 - index) %
				  LIMIT_HISTORY_STREAMS];
	*ret_ended_wall_us = entry->ended_wall_us;
	return &entry->record;
}
