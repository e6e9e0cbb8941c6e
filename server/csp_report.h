/* The reporting endpoint of the pages' Content-Security-Policy. */
#pragma once
#define CSP_REPORT_PATH "/api/v1/csp-reports"
void csp_report_routes(void);
