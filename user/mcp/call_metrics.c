/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/call_metrics.h"

#include "user/base/hash.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/mcp/message.h"

enum { SLOTS = 2 * LIMIT_MCP_SERIES, TOOL_BYTES = 128 };

struct series {
	struct mcp_call_series shown;
	uint32_t next; /* in the same slot: index + 1, 0: none */
};

struct mcp_call_metrics {
	atomic_uint count; /* of series that readers may see */
	struct series *list[LIMIT_MCP_SERIES]; /* owner; the first is for what does not fit */
	uint32_t slots[SLOTS]; /* index + 1 of the first series, 0: none */
};

static uint64_t hash_labels(const struct span *labels)
{
	uint64_t hash = 0;

	for (int i = 0; i < CALL_LABEL_COUNT; i++)
		hash = hash_mix(hash, hash_bytes(labels[i]));
	return hash;
}

static bool labels_eq(const struct span *a, const struct span *b)
{
	for (int i = 0; i < CALL_LABEL_COUNT; i++) {
		if (!span_eq(a[i], b[i]))
			return false;
	}
	return true;
}

static struct series *series_create(const struct span *labels)
{
	size_t bytes = 0;
	struct series *series;
	char *text;

	for (int i = 0; i < CALL_LABEL_COUNT; i++)
		bytes += labels[i].len;
	series = hg_calloc(1, sizeof(*series) + bytes);
	if (!series)
		return NULL;
	text = (char *)(series + 1);
	for (int i = 0; i < CALL_LABEL_COUNT; i++) {
		if (labels[i].len)
			memcpy(text, labels[i].data, labels[i].len);
		series->shown.labels[i] = span_of(text, labels[i].len);
		text += labels[i].len;
	}
	return series;
}

static void publish(struct mcp_call_metrics *m, struct series *series)
{
	uint32_t count = mcp_call_metrics_count(m);
	uint32_t *slot = &m->slots[hash_labels(series->shown.labels) % SLOTS];

	series->next = *slot;
	m->list[count] = series;
	*slot = count + 1;
	/* Readers that see the new count see a complete series. */
	atomic_store_explicit(&m->count, count + 1, memory_order_release);
}

static struct series *series_find(const struct mcp_call_metrics *m, const struct span *labels)
{
	for (uint32_t at = m->slots[hash_labels(labels) % SLOTS]; at; at = m->list[at - 1]->next) {
		if (labels_eq(m->list[at - 1]->shown.labels, labels))
			return m->list[at - 1];
	}
	return NULL;
}

static struct series *series_get(struct mcp_call_metrics *m, const struct span *labels)
{
	struct series *series = series_find(m, labels);

	if (!series && mcp_call_metrics_count(m) < LIMIT_MCP_SERIES) {
		series = series_create(labels);
		if (series)
			publish(m, series);
	}
	return series ? series : m->list[0];
}

struct mcp_call_metrics *mcp_call_metrics_create(void)
{
	struct mcp_call_metrics *m = hg_calloc(1, sizeof(*m));
	struct span labels[CALL_LABEL_COUNT];
	struct series *rest;

	for (int i = 0; i < CALL_LABEL_COUNT; i++)
		labels[i] = SPAN("overflow");
	rest = m ? series_create(labels) : NULL;
	if (rest) {
		publish(m, rest);
		return m;
	}
	hg_free(m);
	return NULL;
}

void mcp_call_metrics_free(struct mcp_call_metrics *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < mcp_call_metrics_count(m); i++)
		hg_free(m->list[i]);
	hg_free(m);
}

static struct span method_label(struct span method)
{
	for (int i = MCP_METHOD_OTHER + 1; i < MCP_METHOD_COUNT; i++) {
		if (span_eq(method, mcp_method_text((enum mcp_method)i)))
			return method;
	}
	return SPAN("other");
}

/* URIs are of any number: things that have a name are tools and prompts. */
static bool has_tool(struct span method, struct span tool)
{
	return tool.len > 0 && tool.len <= TOOL_BYTES &&
	       (span_eq(method, mcp_method_text(MCP_METHOD_TOOLS_CALL)) ||
		span_eq(method, mcp_method_text(MCP_METHOD_PROMPTS_GET)));
}

void mcp_call_metrics_add(struct mcp_call_metrics *m, struct span backend, struct span target,
			  struct span method, struct span tool, bool is_error, uint64_t duration_ns)
{
	struct span labels[CALL_LABEL_COUNT] = {
		[CALL_BACKEND] = backend,
		[CALL_TARGET] = target,
		[CALL_METHOD] = method_label(method),
		[CALL_TOOL] = has_tool(method, tool) ? tool : SPAN(""),
		[CALL_STATUS] = SPAN("ok"),
	};

	/* Who has served it once is known to have it. */
	if (is_error && labels[CALL_TOOL].len && !series_find(m, labels))
		labels[CALL_TOOL] = SPAN("other");
	if (is_error)
		labels[CALL_STATUS] = SPAN("error");
	histogram_add(&series_get(m, labels)->shown.duration, &histogram_http, duration_ns);
}

uint32_t mcp_call_metrics_count(const struct mcp_call_metrics *m)
{
	return atomic_load_explicit(&m->count, memory_order_acquire);
}

const struct mcp_call_series *mcp_call_metrics_at(const struct mcp_call_metrics *m, uint32_t index)
{
	return &m->list[index]->shown;
}
