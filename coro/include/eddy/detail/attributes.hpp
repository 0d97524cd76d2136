// Attributes that only some compilers have.
#pragma once

// Behind a member function, on each of its declarations: what it returns refers to the object, and must not outlive it. Clang
// then warns of `auto op = event().wait();`. It does not see through a conversion to a span or string_view, so that parameters
// gain nothing. (Its `coro_return_type` would refuse every plain function that returns a task, so that a library cannot put
// it on its task for all of its users.)
#if defined(__has_cpp_attribute)
#if __has_cpp_attribute(clang::lifetimebound)
#define EDDY_LIFETIMEBOUND [[clang::lifetimebound]]
#endif
#endif
#if !defined(EDDY_LIFETIMEBOUND)
#define EDDY_LIFETIMEBOUND
#endif
