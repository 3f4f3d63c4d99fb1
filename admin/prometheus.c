/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/prometheus.h"

#include <stdio.h>

static const char *const type_names[] = {
	[PROMETHEUS_COUNTER] = "counter",
	[PROMETHEUS_GAUGE] = "gauge",
	[PROMETHEUS_HISTOGRAM] = "histogram",
};

static void add_name(struct text *out, const struct prometheus_family *family)
{
	text_str(out, family->prefix);
	text_str(out, family->name);
}

/* Backslash and line feed, in label values the double quote too. */
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

void prometheus_begin(struct text *out, const struct prometheus_family *family)
{
	text_str(out, "# HELP ");
	add_name(out, family);
	text_char(out, ' ');
	add_escaped(out, span_str(family->help), false);
	text_str(out, "\n# TYPE ");
	add_name(out, family);
	text_char(out, ' ');
	text_str(out, type_names[family->type]);
	text_char(out, '\n');
}

/* `le` is the bound of a bucket, or NULL. */
static void add_labels(struct text *out, const struct prometheus_label *list, size_t count, const char *le)
{
	if (count == 0 && !le)
		return;
	text_char(out, '{');
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			text_char(out, ',');
		text_str(out, list[i].name);
		text_str(out, "=\"");
		add_escaped(out, list[i].value, true);
		text_char(out, '"');
	}
	if (le) {
		text_str(out, count ? ",le=\"" : "le=\"");
		text_str(out, le);
		text_char(out, '"');
	}
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
	char digits[40];
	size_t len = (size_t)snprintf(digits, sizeof(digits), " %llu.%09llu",
				      (unsigned long long)(ns / 1000000000u),
				      (unsigned long long)(ns % 1000000000u));

	while (digits[len - 1] == '0')
		len--;
	if (digits[len - 1] == '.')
		len--;
	text_add(out, span_of(digits, len));
	text_char(out, '\n');
}

void prometheus_u64(struct text *out, const struct prometheus_family *family,
		    const struct prometheus_label *label_list, size_t label_count, uint64_t value)
{
	add_name(out, family);
	add_labels(out, label_list, label_count, NULL);
	add_number(out, value);
}

void prometheus_seconds(struct text *out, const struct prometheus_family *family,
			const struct prometheus_label *label_list, size_t label_count, uint64_t value_ns)
{
	add_name(out, family);
	add_labels(out, label_list, label_count, NULL);
	add_seconds(out, value_ns);
}

void prometheus_histogram(struct text *out, const struct prometheus_family *family,
			  const struct prometheus_label *label_list, size_t label_count,
			  const struct histogram_bounds *bounds, const struct histogram_totals *totals)
{
	uint64_t cumulative = 0;

	for (uint32_t i = 0; i <= bounds->count; i++) {
		cumulative += totals->buckets[i];
		add_name(out, family);
		text_str(out, "_bucket");
		add_labels(out, label_list, label_count, i < bounds->count ? bounds->label[i] : "+Inf");
		add_number(out, cumulative);
	}
	add_name(out, family);
	text_str(out, "_sum");
	add_labels(out, label_list, label_count, NULL);
	add_seconds(out, totals->sum_ns);
	add_name(out, family);
	text_str(out, "_count");
	add_labels(out, label_list, label_count, NULL);
	add_number(out, totals->count);
}
