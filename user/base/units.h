/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Units of time; names of variables end in their unit (_ns, _us, _ms). */
#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull
#define US_PER_S 1000000ull
