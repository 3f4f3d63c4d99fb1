/* SPDX-License-Identifier: Apache-2.0 */
#include "user/obs/requests.h"

#include "user/base/check.h"
#include "user/base/hash.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

enum {
	SLOTS = 2 * LIMIT_METRIC_SERIES,
	HINTS = 256,
	STATUS_DIGITS = 3,
};

struct request_metrics {
	atomic_uint count; /* series that readers may see */
	struct request_series *series[LIMIT_METRIC_SERIES]; /* owner */
	struct request_series *overflow[2]; /* owner; by kind, shown as the first two */
	uint32_t slots[SLOTS]; /* index + 1 of the first series, 0: none */
	struct request_series *hints[HINTS]; /* last found, by the addresses of its texts; NULL: none */
};

static bool is_label_of(enum request_label label, enum request_series_kind kind)
{
	return kind == SERIES_REQUEST || label == LABEL_BIND || label == LABEL_GATEWAY ||
	       label == LABEL_LISTENER || label == LABEL_PROTOCOL;
}

static uint64_t hash_words(uint64_t h, struct span s)
{
	uint64_t word;

	h = hash_mix(h, s.len);
	for (; s.len >= sizeof(word); s = span_from(s, sizeof(word))) {
		memcpy(&word, s.data, sizeof(word));
		h = hash_mix(h, word);
	}
	word = 0;
	if (s.len)
		memcpy(&word, s.data, s.len);
	return hash_mix(h, word);
}

static uint64_t hash_labels(enum request_series_kind kind, const struct span *labels)
{
	uint64_t h = kind;

	for (uint32_t i = 0; i < REQUEST_LABEL_COUNT; i++)
		h = hash_words(h, labels[i]);
	return h;
}

static bool labels_eq(const struct span *a, const struct span *b)
{
	for (uint32_t i = 0; i < REQUEST_LABEL_COUNT; i++) {
		if (!span_eq(a[i], b[i]))
			return false;
	}
	return true;
}

bool request_series_eq(const struct request_series *a, const struct request_series *b)
{
	return a->kind == b->kind && a->hash == b->hash && labels_eq(a->labels, b->labels);
}

static struct request_series *series_create(enum request_series_kind kind, uint64_t hash,
					    const struct span *labels)
{
	size_t text_bytes = 0;
	struct request_series *series;
	char *text;

	for (uint32_t i = 0; i < REQUEST_LABEL_COUNT; i++)
		text_bytes += labels[i].len;
	series = hg_calloc(1, sizeof(*series) + text_bytes);
	if (!series)
		return NULL;
	series->kind = kind;
	series->hash = hash;
	text = (char *)(series + 1);
	for (uint32_t i = 0; i < REQUEST_LABEL_COUNT; i++) {
		if (labels[i].len)
			memcpy(text, labels[i].data, labels[i].len);
		series->labels[i] = span_of(text, labels[i].len);
		text += labels[i].len;
	}
	return series;
}

static void publish(struct request_metrics *m, struct request_series *series)
{
	uint32_t count = atomic_load_explicit(&m->count, memory_order_relaxed);
	uint32_t *slot = &m->slots[series->hash % SLOTS];

	series->next = *slot;
	m->series[count] = series;
	*slot = count + 1;
	/* Release: a reader that sees the new count sees a complete series. */
	atomic_store_explicit(&m->count, count + 1, memory_order_release);
}

static struct request_series *add_overflow(struct request_metrics *m, enum request_series_kind kind)
{
	struct span labels[REQUEST_LABEL_COUNT] = { 0 };
	struct request_series *series;

	for (uint32_t i = 0; i < REQUEST_LABEL_COUNT; i++) {
		if (is_label_of((enum request_label)i, kind))
			labels[i] = SPAN("overflow");
	}
	series = series_create(kind, hash_labels(kind, labels), labels);
	if (series)
		publish(m, series);
	return series;
}

struct request_metrics *request_metrics_create(void)
{
	struct request_metrics *m = hg_calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->overflow[SERIES_REQUEST] = add_overflow(m, SERIES_REQUEST);
	m->overflow[SERIES_CONNECTION] = add_overflow(m, SERIES_CONNECTION);
	if (!m->overflow[SERIES_REQUEST] || !m->overflow[SERIES_CONNECTION]) {
		request_metrics_free(m);
		return NULL;
	}
	return m;
}

void request_metrics_free(struct request_metrics *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < request_metrics_count(m); i++)
		hg_free(m->series[i]);
	hg_free(m);
}

static struct request_series *series_find(struct request_metrics *m, enum request_series_kind kind,
					  const struct span *labels)
{
	uint64_t hash = hash_labels(kind, labels);
	struct request_series *series;

	for (uint32_t at = m->slots[hash % SLOTS]; at; at = m->series[at - 1]->next) {
		series = m->series[at - 1];
		if (series->hash == hash && series->kind == kind && labels_eq(series->labels, labels))
			return series;
	}
	if (request_metrics_count(m) == LIMIT_METRIC_SERIES)
		return m->overflow[kind];
	series = series_create(kind, hash, labels);
	if (!series)
		return m->overflow[kind];
	publish(m, series);
	return series;
}

/*
 * The texts of a route stay at their addresses as long as its configuration lives: most requests belong to
 * the series of the last one with the same addresses. It is only a hint, the texts are compared.
 */
static struct request_series **hint_of(struct request_metrics *m, const struct span *labels)
{
	uintptr_t places = labels[LABEL_METHOD].len;

	for (uint32_t i = 0; i < REQUEST_LABEL_COUNT; i++) {
		if (i != LABEL_STATUS && i != LABEL_METHOD)
			places = places * 31 + ((uintptr_t)labels[i].data >> 3);
	}
	for (size_t i = 0; i < labels[LABEL_STATUS].len; i++)
		places = places * 31 + (unsigned char)labels[LABEL_STATUS].data[i];
	return &m->hints[(places ^ places >> 8) % HINTS];
}

static struct request_series *request_series_find(struct request_metrics *m, const struct span *labels)
{
	struct request_series **hint = hint_of(m, labels);

	if (!*hint || !labels_eq((*hint)->labels, labels))
		*hint = series_find(m, SERIES_REQUEST, labels);
	return *hint;
}

static struct span or_unknown(struct span s)
{
	return s.len ? s : SPAN("unknown");
}

static struct span method_label(struct span method)
{
	static const char *const known[] = { "GET",	"POST",	   "PUT",   "HEAD", "DELETE",
					     "OPTIONS", "CONNECT", "TRACE", "PATCH" };

	if (method.len == 0)
		return SPAN("unknown");
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (span_eq(method, span_str(known[i])))
			return method;
	}
	return SPAN("OTHER");
}

static struct span status_label(uint16_t status, char out[STATUS_DIGITS])
{
	if (status < 100 || status > 999)
		return SPAN("unknown");
	out[0] = (char)('0' + status / 100);
	out[1] = (char)('0' + status / 10 % 10);
	out[2] = (char)('0' + status % 10);
	return span_of(out, STATUS_DIGITS);
}

void request_metrics_add(struct request_metrics *m, const struct stream_record *record)
{
	char status[STATUS_DIGITS];
	struct span labels[REQUEST_LABEL_COUNT] = {
		[LABEL_BACKEND] = or_unknown(record->backend),
		[LABEL_PROTOCOL] = or_unknown(record->protocol),
		[LABEL_METHOD] = method_label(record->method),
		[LABEL_STATUS] = status_label(record->status, status),
		[LABEL_REASON] = span_str(end_reason_class(record->reason)),
		[LABEL_BIND] = or_unknown(record->bind),
		[LABEL_GATEWAY] = or_unknown(record->gateway),
		[LABEL_LISTENER] = or_unknown(record->listener),
		[LABEL_ROUTE] = or_unknown(record->route),
		[LABEL_ROUTE_RULE] = or_unknown(record->route_rule),
	};
	struct request_series *series = request_series_find(m, labels);

	tally_add(&series->count, 1);
	histogram_add(&series->duration, &histogram_http, record->duration_ns);
}

void request_metrics_connection(struct request_metrics *m, struct span bind, struct span gateway,
				struct span listener, struct span protocol)
{
	struct span labels[REQUEST_LABEL_COUNT] = {
		[LABEL_PROTOCOL] = or_unknown(protocol),
		[LABEL_BIND] = or_unknown(bind),
		[LABEL_GATEWAY] = or_unknown(gateway),
		[LABEL_LISTENER] = or_unknown(listener),
	};

	tally_add(&series_find(m, SERIES_CONNECTION, labels)->count, 1);
}

uint32_t request_metrics_count(const struct request_metrics *m)
{
	return atomic_load_explicit(&m->count, memory_order_acquire);
}

const struct request_series *request_metrics_at(const struct request_metrics *m, uint32_t index)
{
	return m->series[index];
}
