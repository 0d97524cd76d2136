// The files in web/, as they are: compiled in by samples/embed_files.cmake.
#pragma once

#include <string_view>

namespace jobs_dashboard::web {

extern const std::string_view page_html;
extern const std::string_view page_css;
extern const std::string_view page_js;

} // namespace jobs_dashboard::web
