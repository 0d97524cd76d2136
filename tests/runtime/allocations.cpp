#include "coro/allocations.cpp" // the global operator new that counts, for this program too
