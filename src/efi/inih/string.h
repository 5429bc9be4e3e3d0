/* See stdio.h. The string functions are those of src/base. */
#ifndef POSTERN_INIH_STRING_H
#define POSTERN_INIH_STRING_H

#include "base/mem.h"

#endif
