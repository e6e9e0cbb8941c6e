import { Box, Button, Typography } from "@mui/material";
import { Link, useRouteError } from "react-router";
import { PageBody } from "@/ui/page";
import { EmptyState, ErrorState } from "@/ui/states";

export function NotFound() {
  return (
    <PageBody>
      <EmptyState
        title="There is no such page"
        text="The address may be old, or the object was deleted."
        action={
          <Button component={Link} to="/applications" variant="contained">
            Go to applications
          </Button>
        }
      />
    </PageBody>
  );
}

/** The last net under a page that broke, also when a new version replaced the files an open tab still asks for. */
export function RouteError() {
  const error = useRouteError();
  const moved = error instanceof Error && /dynamically imported module|Importing a module|preload CSS/i.test(error.message);
  if (moved) {
    return (
      <Box sx={{ p: 4 }}>
        <Typography variant="h1">DockFlow was updated</Typography>
        <Typography sx={{ my: 1.5 }}>This tab still runs the former version.</Typography>
        <Button variant="contained" onClick={() => location.reload()}>
          Load the new version
        </Button>
      </Box>
    );
  }
  return <ErrorState what="This page stopped working" error={error} retry={() => location.reload()} />;
}
