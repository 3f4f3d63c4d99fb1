/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Tests compile files of this directory once more with rules that can be switched off, to see what each rule
 * is worth: they define GATE_BROKEN before. Here, in the program, no rule is ever broken.
 */
#ifndef GATE_BROKEN
#define GATE_BROKEN(rule) 0
#endif
