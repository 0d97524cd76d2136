// Functions for workers that are defined, and registered, in several places of one program.
#pragma once

#include <string>

namespace remote_test {
int in_another_source(int x);
std::string in_a_static_library(const std::string& text);
int in_a_shared_library(int x);
/// How many static objects of this program have been made.
int objects_made();
} // namespace remote_test
