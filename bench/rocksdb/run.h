// Steps that do the operations of a trace.
#pragma once

#include "database.h"
#include "measure.h"
#include "session_text.h"

namespace bench {

Measured Run(const RunStep& step, const Database& database);

}  // namespace bench
