/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/prometheus.h"

#include <stdio.h>

enum {
	SECONDS_BYTES = 32,
};

static const struct family {
	struct span name;
	struct span labels; /* "a,b" */
	struct span help;
	enum prometheus_type type;
} families[METRIC_COUNT] = {
#define COUNTER(id, name, help) { SPAN(name), SPAN(""), SPAN(help), PROMETHEUS_COUNTER },
#define GAUGE(id, name, help) { SPAN(name), SPAN(""), SPAN(help), PROMETHEUS_GAUGE },
#define METRIC(id, type, name, labels, help) { SPAN(name), SPAN(labels), SPAN(help), PROMETHEUS_##type },
#include "user/base/units.h"
#include "user/obs/metrics.def"
#undef COUNTER
#undef GAUGE
#undef METRIC
};

static const char *const type_names[] = {
	[PROMETHEUS_COUNTER] = "counter", [PROMETHEUS_COUNTER_NS] = "counter",	[PROMETHEUS_GAUGE] = "gauge",
	[PROMETHEUS_GAUGE_NS] = "gauge",  [PROMETHEUS_HISTOGRAM] = "histogram",
};

/* Escapes backslash and line feed, in label values also the double quote. */
static void add_escaped(struct text *out, struct span s, bool is_label)
{
	size_t plain = 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];

		if (c != '\\' && c != '\n' && (c != '"' || !is_label))
			continue;
		text_add(out, span_of(s.data + plain, i - plain));
		text_char(out, '\\');
		text_char(out, c == '\n' ? 'n' : c);
		plain = i + 1;
	}
	text_add(out, span_from(s, plain));
}

void prometheus_begin(struct text *out, enum metric_id id)
{
	const struct family *family = &families[id];

	text_str(out, "# HELP ");
	text_add(out, family->name);
	text_char(out, ' ');
	add_escaped(out, family->help, false);
	text_str(out, "\n# TYPE ");
	text_add(out, family->name);
	text_char(out, ' ');
	text_str(out, type_names[family->type]);
	text_char(out, '\n');
}

/* The shortest exact text: 0.00025, 2.5, 80. */
static const char *seconds_text(uint64_t ns, char out[SECONDS_BYTES])
{
	size_t len = (size_t)snprintf(out, SECONDS_BYTES, "%llu.%09llu", (unsigned long long)(ns / NS_PER_S),
				      (unsigned long long)(ns % NS_PER_S));

	while (out[len - 1] == '0')
		len--;
	if (out[len - 1] == '.')
		len--;
	out[len] = '\0';
	return out;
}

/* Behind the labels of the row, a policy may have some for requests, ready to be written. */
static bool has_added(const struct family *family)
{
	return family == &families[METRIC_REQUESTS] || family == &families[METRIC_REQUEST_DURATION];
}

/* Writes name and labels of a sample. `le` is the bound of a bucket, or NULL. */
static void add_series(struct text *out, const struct family *family, const char *suffix,
		       const struct span *values, const char *le)
{
	struct span names = family->labels, name;
	char separator = '{';

	text_add(out, family->name);
	text_str(out, suffix);
	while (names.len && span_split(&names, ',', &name)) {
		text_char(out, separator);
		text_add(out, name);
		text_str(out, "=\"");
		add_escaped(out, *values++, true);
		text_char(out, '"');
		separator = ',';
	}
	if (has_added(family))
		text_add(out, *values);
	if (le) {
		text_char(out, separator);
		text_str(out, "le=\"");
		text_str(out, le);
		text_char(out, '"');
		separator = ',';
	}
	if (separator == ',')
		text_char(out, '}');
}

static void add_number(struct text *out, uint64_t value)
{
	char digits[21];
	size_t len = text_u64(digits, value);

	digits[len++] = '\n';
	text_char(out, ' ');
	text_add(out, span_of(digits, len));
}

static void add_seconds(struct text *out, uint64_t ns)
{
	char digits[SECONDS_BYTES];

	text_fmt(out, " %s\n", seconds_text(ns, digits));
}

void prometheus_sample(struct text *out, enum metric_id id, const struct span *label_values, uint64_t value)
{
	enum prometheus_type type = families[id].type;

	add_series(out, &families[id], "", label_values, NULL);
	if (type == PROMETHEUS_COUNTER_NS || type == PROMETHEUS_GAUGE_NS)
		add_seconds(out, value);
	else
		add_number(out, value);
}

void prometheus_single(struct text *out, enum metric_id id, uint64_t value)
{
	prometheus_begin(out, id);
	prometheus_sample(out, id, NULL, value);
}

void prometheus_histogram(struct text *out, enum metric_id id, const struct span *label_values,
			  const struct histogram_bounds *bounds, const struct histogram_totals *totals)
{
	const struct family *family = &families[id];
	uint64_t cumulative = 0;

	for (uint32_t i = 0; i <= bounds->count; i++) {
		char bound[SECONDS_BYTES];

		cumulative += totals->buckets[i];
		add_series(out, family, "_bucket", label_values,
			   i < bounds->count ? seconds_text(bounds->bound_ns[i], bound) : "+Inf");
		add_number(out, cumulative);
	}
	add_series(out, family, "_sum", label_values, NULL);
	add_seconds(out, totals->sum_ns);
	add_series(out, family, "_count", label_values, NULL);
	add_number(out, totals->count);
}
