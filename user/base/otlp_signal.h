/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rows of otlp_signals.def. Here, because counters are kept by these. */
enum otlp_signal {
#define OTLP_SIGNAL(id, name, records, method) OTLP_##id,
#include "user/base/otlp_signals.def"
#undef OTLP_SIGNAL
	OTLP_SIGNAL_COUNT,
};

/* What came of a record: rows of export_results.def. */
enum export_result {
#define EXPORT_RESULT(id, name) EXPORT_##id,
#include "user/base/export_results.def"
#undef EXPORT_RESULT
	EXPORT_RESULT_COUNT,
};
