/* SPDX-License-Identifier: Apache-2.0 */
#include "user/obs/requests.h"

#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

enum {
	HINTS = 256,
	STATUS_DIGITS = 3,
};

struct request_metrics {
	struct series_table *table; /* owner */
	struct series *overflow[3]; /* of the table; by kind, shown as the first three */
	struct series *hints[HINTS]; /* latest found, by where its texts are; NULL: none */
};

static bool is_label_of(enum request_label label, enum series_kind kind)
{
	if (kind == SERIES_GUARD)
		return label <= LABEL_OF_RULE;
	if (label == LABEL_ADDED)
		return false;
	return kind == SERIES_REQUEST || label == LABEL_BIND || label == LABEL_GATEWAY ||
	       label == LABEL_LISTENER || label == LABEL_PROTOCOL;
}

static struct series *add_overflow(struct request_metrics *m, enum series_kind kind)
{
	struct span labels[REQUEST_LABEL_COUNT] = { 0 };

	for (uint32_t i = 0; i < REQUEST_LABEL_COUNT; i++) {
		if (is_label_of((enum request_label)i, kind))
			labels[i] = SPAN("overflow");
	}
	return series_get(m->table, kind, labels);
}

struct request_metrics *request_metrics_create(void)
{
	struct request_metrics *m = hg_calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->table = series_table_create(LIMIT_METRIC_SERIES, 0);
	if (m->table)
		m->overflow[SERIES_REQUEST] = add_overflow(m, SERIES_REQUEST);
	if (m->overflow[SERIES_REQUEST])
		m->overflow[SERIES_CONNECTION] = add_overflow(m, SERIES_CONNECTION);
	if (m->overflow[SERIES_CONNECTION])
		m->overflow[SERIES_GUARD] = add_overflow(m, SERIES_GUARD);
	if (!m->overflow[SERIES_GUARD]) {
		request_metrics_free(m);
		return NULL;
	}
	return m;
}

void request_metrics_free(struct request_metrics *m)
{
	if (!m)
		return;
	series_table_free(m->table);
	hg_free(m);
}

static struct series *series_of(struct request_metrics *m, enum series_kind kind, const struct span *labels)
{
	struct series *series = series_get(m->table, kind, labels);

	return series ? series : m->overflow[kind];
}

/*
 * The texts of a route stay at their addresses as long as its configuration lives: most requests belong to
 * the series of the last one with the same addresses. It is only a hint, the texts are compared.
 */
static struct series **hint_of(struct request_metrics *m, const struct span *labels)
{
	uintptr_t places = labels[LABEL_METHOD].len;

	for (uint32_t i = 0; i < REQUEST_LABEL_COUNT; i++) {
		if (i != LABEL_STATUS && i != LABEL_METHOD && i != LABEL_ADDED)
			places = places * 31 + ((uintptr_t)labels[i].data >> 3);
	}
	for (size_t i = 0; i < labels[LABEL_STATUS].len; i++)
		places = places * 31 + (unsigned char)labels[LABEL_STATUS].data[i];
	for (size_t i = 0; i < labels[LABEL_ADDED].len; i++)
		places = places * 31 + (unsigned char)labels[LABEL_ADDED].data[i];
	return &m->hints[(places ^ places >> 8) % HINTS];
}

static struct series *request_series_find(struct request_metrics *m, const struct span *labels)
{
	struct series **hint = hint_of(m, labels);

	if (!*hint || !series_labels_eq((*hint)->labels, labels))
		*hint = series_of(m, SERIES_REQUEST, labels);
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
		[LABEL_ADDED] = record->added_labels,
	};
	struct series *series = request_series_find(m, labels);

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

	tally_add(&series_of(m, SERIES_CONNECTION, labels)->count, 1);
}

void request_metrics_refusal(struct request_metrics *m, struct span policy, struct span rule)
{
	const struct span labels[SERIES_LABELS] = {
		[LABEL_OF_POLICY] = policy, [LABEL_OF_RULE] = or_unknown(rule)
	};

	tally_add(&series_of(m, SERIES_GUARD, labels)->count, 1);
}

const struct series_table *request_metrics_table(const struct request_metrics *m)
{
	return m->table;
}
